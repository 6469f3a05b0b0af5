/** One loss curve with the figures that all findings look at. */
import type { Point } from './log.js';
import { median, noiseOf, smooth } from './statistics.js';

export interface Curve {
  /** Finite points in order of steps. */
  points: Point[];
  /** Their values, and the same smoothed. */
  values: number[];
  smoothed: number[];
  /** Standard deviation of the noise on a point. */
  noise: number;
  /** The same on a smoothed point, and on the difference of one to the end. */
  smoothNoise: number;
  endNoise: number;
  /** Smoothed values at the first point, the lowest one and the last one. */
  start: number;
  lowest: number;
  end: number;
  /** start - lowest. */
  fall: number;
  /** Share of the run (0 to 1, by steps) at which the smoothed curve first is within noise of its lowest point. */
  settledAt: number;
  /** Share of the run at the lowest smoothed point. */
  lowestAt: number;
}

/** Fewest finite points that anything is said about. */
export const FEWEST_POINTS = 5;
/** A curve has settled when this share of its fall is left, or less than its noise tells apart. */
const SETTLED = 0.05;

/** Null when fewer than FEWEST_POINTS points are finite. */
export function describeCurve(raw: Point[]): Curve | null {
  const { ordered, share } = inOrder(raw);
  const points = ordered.filter(({ value }) => Number.isFinite(value));
  if (points.length < FEWEST_POINTS) return null;
  const values = points.map(({ value }) => value);
  const noise = noiseOf(values);
  const window = windowFor(points.length);
  const smoothed = smooth(values, window);
  const reach = Math.floor(window / 2);
  // Near the ends an average is over few points: a lowest point there would be one of noise.
  const inner = smoothed.slice(reach, smoothed.length - reach);
  const tail = values.slice(-Math.max(1, Math.ceil(values.length / 20)));
  const end = median(tail);
  const innerLowest = Math.min(...inner);
  const lowest = Math.min(innerLowest, end);
  const lowestIndex = end <= innerLowest ? values.length - 1 : reach + inner.indexOf(innerLowest);
  const start = Math.max(values[0]!, median(values.slice(0, Math.max(1, reach))));
  const smoothNoise = noise / Math.sqrt(window);
  const fall = Math.max(0, start - lowest);
  const settled = smoothed.findIndex((value) => value <= lowest + Math.max(SETTLED * fall, 3 * smoothNoise));
  return {
    points,
    values,
    smoothed,
    noise,
    smoothNoise,
    // The median of a sample has 1.25 times the error of its mean.
    endNoise: Math.hypot(smoothNoise, (1.25 * noise) / Math.sqrt(tail.length)),
    start,
    lowest,
    end,
    fall,
    settledAt: share(points[Math.max(0, settled)]!.step),
    lowestAt: share(points[lowestIndex]!.step),
  };
}

/** Points in order of steps, and the share of the run (0 to 1) at a step. */
function inOrder(raw: Point[]): { ordered: Point[]; share: (step: number) => number } {
  const ordered = [...raw].sort((a, b) => a.step - b.step);
  const first = ordered[0]?.step ?? 0;
  const span = Math.max(1e-12, (ordered.at(-1)?.step ?? 0) - first);
  return { ordered, share: (step) => (step - first) / span };
}

/** Points that are not finite, by their share of the run, in its order. */
export function brokenShares(raw: Point[]): number[] {
  const { ordered, share } = inOrder(raw);
  return ordered.filter(({ value }) => !Number.isFinite(value)).map(({ step }) => share(step));
}

/** Points that one average is over: none for a handful of epochs, about a twentieth of a long run. */
export function windowFor(count: number): number {
  const wanted = count < 15 ? 1 : count < 40 ? 3 : Math.max(5, Math.floor(count / 20));
  return wanted % 2 === 1 ? wanted : wanted + 1;
}

/** Part of the fall that the smoothed curve makes from `share` of the run to its end; negative when it rises. */
export function fallSince(curve: Curve, share: number): number {
  return valueAt(curve, share) - curve.end;
}

/** The smoothed value at a share of the run, on the line between its neighbours. */
export function valueAt({ points, smoothed }: Curve, share: number): number {
  const first = points[0]!.step;
  const step = first + share * (points.at(-1)!.step - first);
  const right = points.findIndex((point) => point.step >= step);
  if (right <= 0) return smoothed[Math.max(0, right)]!;
  const [a, b] = [points[right - 1]!.step, points[right]!.step];
  const part = b === a ? 1 : (step - a) / (b - a);
  return smoothed[right - 1]! * (1 - part) + smoothed[right]! * part;
}

/** Noise of a point as a share of what the loss fell by, and of its level; a curve that passes both scatters. */
const OF_FALL = 0.12;
const OF_LEVEL = 0.08;

export const levelOf = (curve: Curve) => Math.abs(median(curve.values));

export const scatters = (curve: Curve) => curve.noise > OF_FALL * curve.fall && curve.noise > OF_LEVEL * levelOf(curve);

/** Standard errors that two quarters of a curve must differ by. */
const CREEP_ERRORS = 3;

/** Whether the last quarter lies below the one before it by more than noise: a power law creeps on, a plateau does not. */
export function stillCreeps({ values, noise, fall }: Curve): boolean {
  const quarter = Math.floor(values.length / 4);
  if (quarter < 2) return false;
  const mean = (part: number[]) => part.reduce((sum, value) => sum + value, 0) / part.length;
  const difference = mean(values.slice(-2 * quarter, -quarter)) - mean(values.slice(-quarter));
  return difference > Math.max(0.001 * fall, CREEP_ERRORS * noise * Math.sqrt(2 / quarter));
}
