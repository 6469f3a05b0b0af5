/** What a plan says beside its numbers: reasons, each with its source, and warnings. */
import type { Warning } from '../errors.js';

/** How far a recommendation is backed: `high` within a published range, `low` where only a default or an analogy speaks. */
export type Confidence = 'high' | 'medium' | 'low';

export interface Reason {
  topic: 'batch' | 'learning-rate' | 'optimizer' | 'warmup' | 'schedule' | 'memory' | 'throughput' | 'noise' | 'data' | 'recipe';
  text: string;
  /** Paper, document or data that says so; "arithmetic" for bookkeeping. */
  source: string;
}

const ORDER: Confidence[] = ['low', 'medium', 'high'];

/** The weakest of several. */
export function weakest(...confidences: Confidence[]): Confidence {
  return ORDER[Math.min(...confidences.map((confidence) => ORDER.indexOf(confidence)))]!;
}

export type { Warning };

/** Without the last digits of floating-point arithmetic: 0.1 * 3 is 0.3. */
export const roundOff = (value: number): number => Number(value.toPrecision(15));

/** A number for people: at most four significant digits, without trailing zeros. */
export function formatNumber(value: number): string {
  const rounded = Number(value.toPrecision(4));
  return rounded !== 0 && (Math.abs(rounded) < 1e-3 || Math.abs(rounded) >= 1e7)
    ? rounded.toExponential().replace('e+', 'e')
    : `${rounded}`;
}
