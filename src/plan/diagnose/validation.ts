/** What the validation loss says of something that the training loss shows. */
import { type Curve, scatters } from './curve.js';
import type { Grounds } from './finding.js';
import { slopeOf } from './statistics.js';

/** From one step to another. */
export interface Stretch {
  from: number;
  to: number;
}

export type Course = 'falls' | 'stands still' | 'rises';

/** A curve moves when a line through it does by this share of its fall, this share of its level, and this many standard errors. */
const MOVES = 0.02;
const OF_LEVEL = 0.005;
const ERRORS = 3;
/** A fall that half of is lost again, by this many times the noise, is a rise. */
const LOST = 0.5;
const LOST_ERRORS = 6;

/** What a curve does over a stretch, `moves` being the share of its fall that counts; null where it has not the points to tell. */
export function courseOf(curve: Curve, { from, to }: Stretch, moves = MOVES): Course | null {
  const inside = curve.points.filter(({ step }) => step >= from && step <= to);
  if (inside.length < 2 || inside.at(-1)!.step - inside[0]!.step < (to - from) / 2) return null;
  const values = inside.map(({ value }) => value);
  const n = values.length;
  const change = slopeOf(values) * (n - 1);
  const error = curve.noise * Math.sqrt((12 * (n - 1)) / (n * (n + 1)));
  if (Math.abs(change) <= Math.max(moves * curve.fall, OF_LEVEL * Math.abs(curve.start), ERRORS * error)) return 'stands still';
  const lost = values.at(-1)! - Math.min(...values);
  return change > 0 || lost > Math.max(LOST * -change, LOST_ERRORS * curve.noise) ? 'rises' : 'falls';
}

/** Weighs what the training loss alone shows: less sure where the validation loss is smooth and still falls. */
export function weigh(shown: Grounds, validation: Curve | null): Grounds {
  if (validation === null || !fallsSmoothly(validation)) return shown;
  const confidence = shown.confidence === 'high' ? 'medium' : 'low';
  return { confidence, evidence: [...shown.evidence, 'the validation loss is smooth and still falls'] };
}

function fallsSmoothly(validation: Curve): boolean {
  const [first, last] = [validation.points[0]!.step, validation.points.at(-1)!.step];
  return !scatters(validation) && courseOf(validation, { from: (first + last) / 2, to: last }) === 'falls';
}
