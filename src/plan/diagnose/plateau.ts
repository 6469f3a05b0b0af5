import { formatNumber } from '../advice.js';
import { type Curve, stillCreeps } from './curve.js';
import { advise, type Curves, type Finding, type Grounds, type Judge, nameOf, PLAYBOOK, percent } from './finding.js';
import { courseOf, type Stretch } from './validation.js';

/** A stretch of at least this share of the run. */
const STRETCH = 0.2;
/** Within it the loss makes less than this share of its fall, before and after it more than that one. */
const STILL = 0.04;
const MOVING = 0.1;
/** A loss that stands still this early is stuck unless it is low; one that stands still by the middle is when it is high. */
const EARLY = 0.35;
const LOW = 0.1;
const MIDDLE = 0.5;
const HIGH = 0.35;
/** The first tenth of the fall comes no earlier than this share of the run. */
const LATE_START = 0.2;

/** Part of its own fall that the validation loss makes in such a stretch at the start, or in the middle, when it falls all the same. */
const FALLS_AT_START = 0.2;
const FALLS_IN_MIDDLE = 0.05;

/** The loss stands still: at the start, in the middle, or from early on at a high level. */
export const findPlateau: Judge = (curves) => {
  const curve = curves.train ?? curves.validation!;
  if (curve.points.length < 10 || curve.fall < Math.max(0.05 * Math.abs(curve.start), 6 * curve.endNoise)) return null;
  return findStart(curve, curves) ?? findMiddle(curve, curves) ?? findStuck(curves);
};

function findStart(curve: Curve, curves: Curves): Finding | null {
  const to = stillStart(curve);
  if (to === null) return null;
  const text = `${nameOf(curve, curves)} does not fall in the first ${percent(to)} of the run`;
  const heard = hear(curves, stretchOf(curve, 0, to), FALLS_AT_START);
  return heard && plateau(heard, text, 'warm-up too long or learning rate too low at the start');
}

function findMiddle(curve: Curve, curves: Curves): Finding | null {
  const middle = stillMiddle(curve);
  if (middle === null) return null;
  const text = `${nameOf(curve, curves)} stands still from ${percent(middle.from)} to ${percent(middle.to)} of the run and then falls again`;
  const heard = hear(curves, stretchOf(curve, middle.from, middle.to), FALLS_IN_MIDDLE);
  return heard && plateau(heard, text, 'learning rate too high until it was lowered');
}

function findStuck({ train, validation, judged }: Curves): Finding | null {
  const level = judged.end / Math.abs(judged.start);
  // A power law goes on falling by a little; what stands still does not.
  if (stillCreeps(judged) || (train !== null && stillCreeps(train))) return null;
  const stuck = judged.settledAt > 0.1 && ((judged.settledAt <= EARLY && level > LOW) || (judged.settledAt <= MIDDLE && level > HIGH));
  if (!stuck) return null;
  const since = `since ${percent(judged.settledAt)} of the run, ${percent(level)} of where it began`;
  const text = `${nameOf(judged, { validation })} stands at ${formatNumber(judged.end)} ${since}`;
  return plateau({ confidence: 'medium', evidence: [] }, text, 'learning rate not lowered, or too high to go further down');
}

/** What the validation loss adds where the training loss stands still; null when it falls there, so that nothing stands still. */
function hear({ train, validation }: Curves, stretch: Stretch, falls: number): Grounds | null {
  if (train === null || validation === null) return { confidence: 'medium', evidence: [] };
  const course = courseOf(validation, stretch, falls);
  if (course === 'falls') return null;
  if (course === null) return { confidence: 'low', evidence: ['the validation loss has too few points there to tell'] };
  return { confidence: course === 'rises' ? 'low' : 'medium', evidence: [`the validation loss ${course} there`] };
}

function stretchOf({ points }: Curve, from: number, to: number): Stretch {
  const stepAt = (share: number) => points[Math.round(share * (points.length - 1))]!.step;
  return { from: stepAt(from), to: stepAt(to) };
}

/** Share of the run until a tenth of the fall is made, when that takes long; null otherwise. */
function stillStart(curve: Curve): number | null {
  const index = curve.smoothed.findIndex((value) => value < curve.start - MOVING * curve.fall);
  const share = index / (curve.smoothed.length - 1);
  return share >= LATE_START && 3 * curve.smoothNoise < MOVING * curve.fall ? share : null;
}

/** The longest stretch of the smoothed curve that stands still between two parts that fall. */
function stillMiddle(curve: Curve): { from: number; to: number } | null {
  const { smoothed, fall, start, end, smoothNoise } = curve;
  const last = smoothed.length - 1;
  const tolerance = Math.max(STILL * fall, 2 * smoothNoise);
  let best: { from: number; to: number } | null = null;
  for (let from = 0; from < last; from++) {
    if (start - smoothed[from]! < MOVING * fall) continue;
    let to = from;
    while (to < last && Math.abs(smoothed[to + 1]! - smoothed[from]!) <= tolerance) to++;
    const stretch = { from: from / last, to: to / last };
    if (stretch.to - stretch.from < STRETCH || smoothed[to]! - end < Math.max(MOVING * fall, 4 * smoothNoise)) continue;
    if (best === null || stretch.to - stretch.from > best.to - best.from) best = stretch;
  }
  return best;
}

function plateau({ confidence, evidence }: Grounds, text: string, cause: string): Finding {
  return {
    kind: 'plateau',
    confidence,
    evidence: [text, ...evidence],
    causes: [cause, 'a saddle that noise or a higher rate would leave', 'a model that is too small for the data'],
    advice: [
      advise(
        'lower the learning rate where it stands still: a third, or a cosine decay over the run',
        'learning-rate',
        0.3,
        'medium',
        PLAYBOOK,
      ),
      advise('at the start: a shorter warm-up or three times the rate', 'learning-rate', 3, 'low', PLAYBOOK),
      advise(
        'instead of lowering the rate, the batch may grow by the same factor',
        'batch',
        3,
        'low',
        'Smith et al. 2017 (arXiv 1711.00489)',
      ),
    ],
  };
}
