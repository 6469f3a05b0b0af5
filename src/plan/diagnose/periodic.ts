import { formatNumber } from '../advice.js';
import type { Curve } from './curve.js';
import { advise, type Judge, nameOf } from './finding.js';
import type { TrainingLog } from './log.js';
import { findPeriod, median, type Period } from './statistics.js';
import { weigh } from './validation.js';

const FEWEST_POINTS = 24;
/** Half of what is left when the trend is out must repeat. */
const STRENGTH = 0.5;
/** Best autocorrelation over all lags that pure noise of n points passes once in a hundred times, times sqrt(n): simulated. */
const CHANCE = 5.8;
/** A swing below this share of the loss's level and fall is no finding. */
const SWING = 0.03;

/** A repeating pattern, and whether it is as long as an epoch. */
export type Repetition = Period & { ofEpoch: boolean };

/** The strongest repetition of a curve that is worth a finding. */
export function findRepetition(curve: Curve, log: TrainingLog): Repetition | null {
  if (curve.points.length < FEWEST_POINTS) return null;
  const period = findPeriod(curve.values);
  if (period === null || period.strength < Math.max(STRENGTH, CHANCE / Math.sqrt(curve.points.length))) return null;
  if (period.amplitude < SWING * Math.max(curve.fall, Math.abs(median(curve.values)))) return null;
  const stepsPerPoint = (curve.points.at(-1)!.step - curve.points[0]!.step) / (curve.points.length - 1);
  const ofEpoch = log.stepsPerEpoch !== null && Math.abs((period.lag * stepsPerPoint) / log.stepsPerEpoch - 1) < 0.1;
  return { ...period, ofEpoch };
}

/** The loss repeats itself: most often the order of the data, once an epoch. */
export const findPeriodicity: Judge = ({ train, validation, judged, repetition: period }) => {
  if (period === null) return null;
  const name = nameOf(train ?? judged, { validation });
  const epoch = period.ofEpoch ? ', which is one epoch' : '';
  const strength = `autocorrelation ${formatNumber(period.strength)}`;
  const confidence = period.ofEpoch || period.strength > 0.8 ? 'high' : 'medium';
  const evidence = [
    `${name} repeats every ${period.lag} logged points${epoch} (${strength}), swinging by ${formatNumber(period.amplitude)}`,
  ];
  return {
    kind: 'periodic',
    ...weigh({ confidence, evidence }, train === null ? null : validation),
    causes: [
      'the data is not shuffled, or in the same order every epoch',
      'a smaller last batch at the end of the epoch',
      'a learning-rate schedule with restarts',
    ],
    advice: [
      advise('shuffle before every epoch, with another seed each time', 'data', null, 'high', 'Goyal et al. 2017 (arXiv 1706.02677)'),
      advise('drop the last batch of the epoch when it is smaller', 'batch', null, 'low', 'arithmetic'),
    ],
  };
};
