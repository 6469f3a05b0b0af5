import { formatNumber } from '../advice.js';
import { type Curve, levelOf, scatters } from './curve.js';
import { advise, type Finding, type Grounds, type Judge, MCCANDLISH, PLAYBOOK, percent } from './finding.js';
import { median } from './statistics.js';
import { weigh } from './validation.js';

/** Noise of a point as a share of what the loss fell by, above which there is no doubt. */
const STRONG = 0.25;
/** A spike stands this many times the noise above the curve, and this share of its level. */
const SPIKE = 8;
const SPIKE_OF_LEVEL = 0.25;

/** The loss jumps from point to point by a good part of all that it fell, or has spikes that it recovers from. */
export const findNoise: Judge = ({ train, validation, repetition }) => {
  const evidence: string[] = [];
  let strong = false;
  for (const [name, curve] of [
    ['training', train],
    ['validation', validation],
  ] as const) {
    if (curve === null || curve.points.length < 8 || !scatters(curve)) continue;
    if (repetition !== null && curve === (train ?? validation)) continue;
    const share = curve.fall > 0 ? `, ${percent(curve.noise / curve.fall)} of all that it fell` : '';
    evidence.push(`the ${name} loss scatters by ${formatNumber(curve.noise)} from point to point${share}`);
    strong ||= curve.noise > STRONG * curve.fall;
  }
  const heard = train === null ? null : validation;
  if (evidence.length > 0) return noisy(weigh({ confidence: strong ? 'high' : 'medium', evidence }, heard));
  const spikes = train === null || repetition !== null ? 0 : spikesOf(train);
  if (spikes === 0) return null;
  evidence.push(`the training loss has ${spikes} spike${spikes === 1 ? '' : 's'} that it recovers from`);
  return noisy(weigh({ confidence: spikes > 2 ? 'medium' : 'low', evidence }, heard));
};

function spikesOf(curve: Curve): number {
  if (curve.values.length < 24) return 0;
  const skipped = Math.floor(curve.values.length / 5);
  const height = Math.max(SPIKE * curve.noise, SPIKE_OF_LEVEL * levelOf(curve));
  const above = (value: number, index: number) => {
    // As many points after it as before: a rise at the end is none that it recovers from.
    const reach = Math.min(5, curve.values.length - 1 - index);
    return value - median(curve.values.slice(Math.max(0, index - reach), index + reach + 1));
  };
  return curve.values.filter((value, index) => index >= skipped && above(value, index) > height).length;
}

function noisy({ confidence, evidence }: Grounds): Finding {
  return {
    kind: 'noisy',
    confidence,
    evidence,
    causes: [
      'learning rate too high',
      'batch small against the noise scale',
      'data of mixed difficulty, or a validation set that is too small',
      'every single step is logged',
    ],
    advice: [
      advise('halve the learning rate, or decay it: noise at the end follows rate / batch', 'learning-rate', 0.5, 'medium', MCCANDLISH),
      advise(
        'double the batch at the same learning rate: if the scatter falls by 1.4 times, the batch was the cause',
        'batch',
        2,
        'medium',
        MCCANDLISH,
      ),
      advise('measure the noise scale: batchfit noise', 'none', null, 'medium', MCCANDLISH),
      advise('average the weights (EMA) or log averages over more steps', 'none', null, 'medium', PLAYBOOK),
    ],
  };
}
