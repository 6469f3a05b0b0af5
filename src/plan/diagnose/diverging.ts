import type { Warning } from '../../errors.js';
import { formatNumber } from '../advice.js';
import { brokenShares, type Curve } from './curve.js';
import { advise, type Curves, type Finding, type Judge, nameOf, percent } from './finding.js';
import type { TrainingLog } from './log.js';
import { type Course, courseOf, type Stretch } from './validation.js';

/** How far above its lowest point a loss must end: half of what it had fallen, a tenth of its level, and six times its noise. */
const risen = (curve: Curve) => curve.end - curve.lowest > Math.max(0.5 * curve.fall, 0.1 * Math.abs(curve.lowest), 6 * curve.endNoise);

/** It rises for good since it last was within this share of its rise above its lowest point. */
const LEFT = 0.1;

const HIDDEN = 'the training loss is exactly 0 or its gradient norm not finite in places: the logger hid losses that were NaN';

/** The loss is not finite, or rises for good and the validation loss does not say otherwise. */
export const findDivergence: Judge = (curves) => {
  const hidden = curves.log.warnings.some(({ code }) => code === 'NAN_FILTER') ? [HIDDEN] : [];
  const broken = [...brokenIn(curves.log), ...hidden];
  if (broken.length > 0) return diverging('high', broken);
  const rise = riseOf(curves);
  return rise === null || rise.validation === 'falls' ? null : diverging(rise.confidence, rise.evidence);
};

/** The warning that the training loss rises for good while the validation loss falls, which is no divergence; null for none. */
export function warnOfRise(curves: Curves): Warning | null {
  const rise = riseOf(curves);
  if (rise?.validation !== 'falls') return null;
  return {
    code: 'CURVES_DISAGREE',
    message: `${rise.evidence.join('; ')}: the run does not diverge`,
    hint: 'look for what only the training loss sees: harder data, augmentation, dropout, another term of the loss, or how it is logged',
  };
}

/** Losses that are not finite, each curve by its name. */
export function brokenIn({ train, validation }: TrainingLog): string[] {
  return Object.entries({ training: train, validation }).flatMap(([name, points]) => {
    const [first, ...rest] = brokenShares(points);
    if (first === undefined) return [];
    return [`the ${name} loss is not finite at ${rest.length + 1} of ${points.length} points, the first at ${percent(first)} of the run`];
  });
}

interface Rise {
  evidence: string[];
  confidence: Finding['confidence'];
  /** What the validation loss does beside a training loss that rises; null where nobody knows. */
  validation: Course | null;
}

function riseOf({ log, train, validation }: Curves): Rise | null {
  const curve = train ?? validation!;
  // A validation loss that rises while training goes on falling is overfitting, and without a training loss nobody knows.
  if ((train === null && curve.end <= curve.start) || !risen(curve)) return null;
  const beside = train === null || validation === null ? null : courseOf(validation, riseFrom(train, validation));
  const evidence = [`${nameOf(curve, { validation })} fell to ${formatNumber(curve.lowest)} and ended at ${formatNumber(curve.end)}`];
  if (beside !== null) evidence.push(`the validation loss ${beside} meanwhile, and ends at ${formatNumber(validation!.end)}`);
  const norms = log.gradientNorm.filter(({ value }) => Number.isFinite(value)).map(({ value }) => value);
  const [early, late] = [Math.max(...norms.slice(0, norms.length / 2)), Math.max(...norms.slice(norms.length / 2))];
  if (norms.length >= 8 && late > 3 * early)
    evidence.push(`the gradient norm grew to ${formatNumber(late)} from at most ${formatNumber(early)}`);
  const confidence = beside === 'stands still' ? 'low' : curve.end > curve.start ? 'high' : 'medium';
  return { evidence, confidence, validation: beside };
}

/** From the last validation before the training loss rises to the end, so that a single validation after it can be compared. */
function riseFrom(train: Curve, validation: Curve): Stretch {
  const low = train.lowest + LEFT * (train.end - train.lowest);
  const { step } = train.points[train.smoothed.findLastIndex((value) => value <= low)]!;
  const before = validation.points.findLast((point) => point.step <= step);
  return { from: before?.step ?? step, to: train.points.at(-1)!.step };
}

function diverging(confidence: Finding['confidence'], evidence: string[]): Finding {
  return {
    kind: 'diverging',
    confidence,
    evidence,
    causes: [
      'learning rate too high, or no warm-up',
      'fp16 overflow',
      'a bad batch of data',
      'gradients that are not divided by the accumulation steps',
    ],
    advice: [
      advise(
        'halve the learning rate, or go back to the last good checkpoint with a third of it',
        'learning-rate',
        0.5,
        'high',
        'Goyal et al. 2017 (arXiv 1706.02677)',
      ),
      advise('warm up for longer, and clip the gradient norm', 'learning-rate', null, 'medium', 'Goyal et al. 2017 (arXiv 1706.02677)'),
      advise('train in bf16 or fp32 instead of fp16', 'precision', null, 'medium', 'fp16 overflows above 65504'),
    ],
  };
}
