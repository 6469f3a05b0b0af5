/** A fit through measured points: the device's part of the prediction stretched by one factor, that of launches by another. */
import type { Seconds } from '../units.js';

export interface MeasuredPoint {
  /** Micro batch. */
  batch: number;
  stepSeconds: Seconds;
}

/** How much longer than predicted the device works, and the program that launches its kernels. */
export interface Factors {
  device: number;
  launching: number;
}

/** Weight of the two factors' difference: what one point leaves open is settled by stretching both alike. */
const LIKENESS = 0.001;
const ROUNDS = 30;
/** Step of the numeric derivative, in e-folds. */
const DELTA = 1e-4;

/**
 * The factors whose prediction is nearest to the points: least squares of log(predicted / measured), by Gauss and Newton,
 * damped. Points without a positive time are left out; without any, both factors are 1.
 */
export function calibrate(points: readonly MeasuredPoint[], predicted: (batch: number, factors: Factors) => Seconds): Factors {
  const known = points.filter((point) => point.stepSeconds > 0);
  const errors = ([device, launching]: Logs): number[] => [
    ...known.map(({ batch, stepSeconds }) => Math.log(predicted(batch, factorsOf([device, launching])) / stepSeconds)),
    Math.sqrt(LIKENESS) * (device - launching),
  ];
  const start = known.length === 0 ? 0 : -errors([0, 0]).reduce((sum, error) => sum + error, 0) / known.length;
  let at: Logs = [start, start];
  let found = errors(at);
  let damping = 1e-3;
  for (let round = 0; round < ROUNDS; round++) {
    const next = step(at, found, damping, errors);
    const then = errors(next);
    if (squares(then) < squares(found)) {
      [at, found] = [next, then];
      damping /= 10;
    } else damping *= 10;
  }
  return factorsOf(at);
}

/** Logarithms of the factors of the device and of launching. */
type Logs = [number, number];

const factorsOf = ([device, launching]: Logs): Factors => ({ device: Math.exp(device), launching: Math.exp(launching) });

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);
const squares = (errors: readonly number[]): number => dot(errors, errors);

/** One damped step: the normal equations of two unknowns, solved by Cramer's rule. */
function step([device, launching]: Logs, found: number[], damping: number, errors: (at: Logs) => number[]): Logs {
  const slope = (moved: number[]): number[] => moved.map((error, i) => (error - (found[i] as number)) / DELTA);
  const a = slope(errors([device + DELTA, launching]));
  const b = slope(errors([device, launching + DELTA]));
  const [aa, ab, bb] = [squares(a) * (1 + damping), dot(a, b), squares(b) * (1 + damping)];
  const [ae, be] = [dot(a, found), dot(b, found)];
  const determinant = aa * bb - ab * ab;
  if (!(determinant > 0)) return [device, launching];
  return [device - (ae * bb - be * ab) / determinant, launching - (be * aa - ae * ab) / determinant];
}
