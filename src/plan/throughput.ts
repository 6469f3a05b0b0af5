/** Step time by batch from known points, the knee, and goodput: throughput times statistical efficiency. */
import type { Seconds, Source } from '../units.js';

/** Time of one optimizer step of one replica at one micro batch. */
export interface SpeedPoint {
  batch: number;
  stepSeconds: Seconds;
  source: Source;
}

/** What is known of a model's speed on one device: measured points, or points of a prediction. */
export interface SpeedCurve {
  points: SpeedPoint[];
  /** Part of every point that comes once an update, however many passes it has: optimizer and communication. Default: 0. */
  updateSeconds?: Seconds;
}

export interface StepTime {
  seconds: Seconds;
  source: Source;
}

/** How far beyond the known points a line through the last two is still believed. */
const FURTHEST = 2;

/**
 * Seconds of one forward, backward and update at `batch`: the point itself, or the line between its neighbours, because a
 * step costs a fixed part and a part per sample (AdaptDL: alpha + beta b). Null where the curve says nothing.
 */
export function stepTimeAt(curve: SpeedCurve | null, batch: number): StepTime | null {
  const points = [...(curve?.points ?? [])].sort((a, b) => a.batch - b.batch);
  const exact = points.find((point) => point.batch === batch);
  if (exact) return { seconds: exact.stepSeconds, source: exact.source };
  if (points.length < 2) return null;
  const first = points[0]!;
  const last = points.at(-1)!;
  if (batch > last.batch * FURTHEST || batch < first.batch / FURTHEST) return null;
  const index = Math.min(
    Math.max(
      1,
      points.findIndex((point) => point.batch > batch),
    ),
    points.length - 1,
  );
  const right = batch > last.batch ? points.length - 1 : index;
  const [a, b] = [points[right - 1]!, points[right]!];
  const seconds = a.stepSeconds + ((b.stepSeconds - a.stepSeconds) * (batch - a.batch)) / (b.batch - a.batch);
  return seconds > 0 ? { seconds, source: between(a.source, b.source) } : null;
}

/** What lies between two points is not measured, and no better known than the worse of them. */
function between(a: Source, b: Source): Source {
  const order: Source[] = ['assumed', 'estimated', 'calibrated'];
  const rank = (source: Source): number => (source === 'measured' ? 2 : Math.max(order.indexOf(source), 0));
  return order[Math.min(rank(a), rank(b))]!;
}

/** Samples per second of one replica at a micro batch, null when not known. */
export function rateAt(curve: SpeedCurve | null, batch: number): number | null {
  const time = stepTimeAt(curve, batch);
  return time === null ? null : batch / time.seconds;
}

/** Share of the best rate from which on a batch counts as saturating the device. */
export const KNEE_SHARE = 0.95;
/** The same for the smallest batch that is still near it: what a goal of generalization takes. */
export const NEAR_KNEE_SHARE = 0.9;

/** The smallest known batch up to `maxBatch` with at least `share` of the best rate among them; null without points. */
export function findKnee(curve: SpeedCurve | null, maxBatch: number, share = KNEE_SHARE): number | null {
  const points = (curve?.points ?? []).filter((point) => point.batch <= maxBatch);
  const best = Math.max(...points.map((point) => point.batch / point.stepSeconds));
  const reaching = points.filter((point) => point.batch / point.stepSeconds >= best * share).map((point) => point.batch);
  return reaching.length === 0 ? null : Math.min(...reaching);
}

/** Share of the samples that a batch does not waste: E_min / E = 1 / (1 + B / noise scale). McCandlish et al. 2018. */
export const statisticalEfficiency = (batch: number, noiseScale: number): number => 1 / (1 + batch / noiseScale);

/** Useful samples per second: throughput times statistical efficiency (AdaptDL). Time to a target is inverse to it. */
export const goodput = (samplesPerSecond: number, batch: number, noiseScale: number): number =>
  samplesPerSecond * statisticalEfficiency(batch, noiseScale);
