import { formatNumber } from '../advice.js';
import type { Curve } from './curve.js';
import { advise, type Curves, type Finding, type Judge, percent } from './finding.js';

/** How far above its lowest point a loss must end: half of what it had fallen, a tenth of its level, and six times its noise. */
const risen = (curve: Curve) => curve.end - curve.lowest > Math.max(0.5 * curve.fall, 0.1 * Math.abs(curve.lowest), 6 * curve.endNoise);

/** The loss is not finite, or rises for good. */
export const findDivergence: Judge = (curves) => {
  const evidence = evidenceOf(curves);
  return evidence === null ? null : diverging(evidence);
};

function evidenceOf({ log, train, validation }: Curves): { text: string[]; sure: boolean } | null {
  const broken = [...(train?.broken ?? []), ...(validation?.broken ?? [])];
  if (broken.length > 0) {
    return { text: [`${broken.length} logged losses are not finite, the first at ${percent(Math.min(...broken))} of the run`], sure: true };
  }
  if (log.warnings.some(({ code }) => code === 'NAN_FILTER')) {
    return { text: ['losses of exactly 0 or gradient norms that are not finite: the logger hid losses that were NaN'], sure: true };
  }
  const curve = train ?? validation!;
  // A validation loss that rises while training goes on falling is overfitting, and without a training loss nobody knows.
  if (train === null && curve.end <= curve.start) return null;
  if (!risen(curve)) return null;
  const text = [`the loss fell to ${formatNumber(curve.lowest)} and ended at ${formatNumber(curve.end)}`];
  const norms = log.gradientNorm.filter(({ value }) => Number.isFinite(value)).map(({ value }) => value);
  const [early, late] = [Math.max(...norms.slice(0, norms.length / 2)), Math.max(...norms.slice(norms.length / 2))];
  if (norms.length >= 8 && late > 3 * early)
    text.push(`the gradient norm grew to ${formatNumber(late)} from at most ${formatNumber(early)}`);
  return { text, sure: curve.end > curve.start };
}

function diverging({ text, sure }: { text: string[]; sure: boolean }): Finding {
  return {
    kind: 'diverging',
    confidence: sure ? 'high' : 'medium',
    evidence: text,
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
