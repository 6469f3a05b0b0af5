/** Straight lines through measured peaks, and the knee of measured throughput. */
import type { Bytes, Fraction } from '../units.js';

export interface Calibration {
  fixedBytes: Bytes;
  perSampleBytes: Bytes;
  /** Median distance of a measured peak from the line, as a share of the peak. */
  residual: Fraction;
}

/**
 * The line through peaks by batch, by Theil and Sen (the median of all pairwise slopes): one trial that the allocator
 * served differently does not tilt it. Null with fewer than two batches.
 */
export function calibrate(points: { batch: number; peakBytes: Bytes }[]): Calibration | null {
  const slopes = points.flatMap((a, i) =>
    points.slice(i + 1).flatMap((b) => (a.batch === b.batch ? [] : [(b.peakBytes - a.peakBytes) / (b.batch - a.batch)])),
  );
  if (slopes.length === 0) return null;
  const slope = median(slopes);
  const intercept = median(points.map((point) => point.peakBytes - slope * point.batch));
  const residual = median(points.map((point) => Math.abs(point.peakBytes - intercept - slope * point.batch) / point.peakBytes));
  return { fixedBytes: Math.round(intercept), perSampleBytes: Math.round(slope), residual };
}

/** A batch whose rate is this share of the best one keeps the device as busy as it gets. */
export const KNEE_SHARE: Fraction = 0.95;

/** The smallest batch with at least KNEE_SHARE of the best rate. Null without points. */
export function findKnee(points: { batch: number; samplesPerSecond: number }[]): number | null {
  const best = Math.max(...points.map((point) => point.samplesPerSecond));
  const near = points.filter((point) => point.samplesPerSecond >= KNEE_SHARE * best).map((point) => point.batch);
  return near.length > 0 ? Math.min(...near) : null;
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Median absolute deviation. */
export function medianDeviation(values: number[]): number {
  const center = median(values);
  return median(values.map((value) => Math.abs(value - center)));
}
