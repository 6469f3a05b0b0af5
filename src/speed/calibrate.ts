/** A fit through measured points: the predicted curve, stretched, plus a fixed time per step. */
import type { Seconds } from '../units.js';

export interface MeasuredPoint {
  /** Micro batch. */
  batch: number;
  stepSeconds: Seconds;
}

export interface Calibration {
  /** Seconds of a step that do not depend on the prediction, and the factor on what does. */
  fixedSeconds: Seconds;
  factor: number;
  seconds(batch: number): Seconds;
}

/**
 * Least squares of fixed + factor * predicted on the relative error, neither below zero. One point gives the factor alone.
 * Throws nothing: points without a positive time are left out; without any, the prediction stands.
 */
export function calibrate(points: readonly MeasuredPoint[], predicted: (batch: number) => Seconds): Calibration {
  const known = points.filter((point) => point.stepSeconds > 0).map((point) => ({ x: predicted(point.batch), y: point.stepSeconds }));
  const sum = (f: (point: { x: number; y: number }) => number): number => known.reduce((total, point) => total + f(point), 0);
  // Relative errors: every equation is divided by what was measured.
  const [a11, a12, a22] = [sum(({ y }) => 1 / y ** 2), sum(({ x, y }) => x / y ** 2), sum(({ x, y }) => (x / y) ** 2)];
  const [b1, b2] = [sum(({ y }) => 1 / y), sum(({ x, y }) => x / y)];
  const determinant = a11 * a22 - a12 ** 2;
  let fixedSeconds = 0;
  let factor = a22 > 0 ? b2 / a22 : 1;
  if (new Set(known.map(({ x }) => x)).size > 1 && determinant > 0) {
    const fixed = (b1 * a22 - b2 * a12) / determinant;
    const slope = (a11 * b2 - a12 * b1) / determinant;
    if (fixed >= 0 && slope >= 0) [fixedSeconds, factor] = [fixed, slope];
    else if (slope < 0) [fixedSeconds, factor] = [b1 / a11, 0];
  }
  return { fixedSeconds, factor, seconds: (batch) => fixedSeconds + factor * predicted(batch) };
}
