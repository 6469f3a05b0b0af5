import { formatNumber } from '../advice.js';
import { fallSince, stillCreeps } from './curve.js';
import { advise, type Judge, nameOf, PLAYBOOK, percent, SHALLUE } from './finding.js';

/** Part of the whole fall that the last quarter must make for a run to count as cut short. */
const STILL_FALLING = 0.08;
/** Best step in about the first tenth of the run: too long (tuning playbook). */
const EARLY = 0.12;
/** At more than this share of its starting value it is stuck rather than done. */
const DONE = 0.5;

/** Still falling in its last quarter. */
export const findTooShort: Judge = ({ judged, validation }) => {
  const late = fallSince(judged, 0.75);
  if (judged.points.length < 6 || judged.lowestAt < 0.9 || late < Math.max(STILL_FALLING * judged.fall, 3 * judged.endNoise)) return null;
  if (judged.fall < 0.01 * Math.abs(judged.start)) return null;
  return {
    kind: 'too-short',
    confidence: validation === null ? 'low' : late > 0.15 * judged.fall ? 'high' : 'medium',
    evidence: [
      `${nameOf(judged, { validation })} made ${percent(late / judged.fall)} of its whole fall in the last quarter, and is lowest at the end`,
    ],
    causes: ['too few steps', 'learning rate too low'],
    advice: [
      advise('train for half as long again', 'steps', 1.5, 'high', PLAYBOOK),
      advise('or raise the learning rate', 'learning-rate', 2, 'medium', PLAYBOOK),
      advise('or make more updates of the same epochs with a smaller batch, and the learning rate re-scaled', 'batch', 0.5, 'low', SHALLUE),
    ],
  };
};

/** As good as done in its first tenth. */
export const findTooLong: Judge = ({ judged, train, validation }) => {
  const curves = [train, validation].filter((curve) => curve !== null);
  const settledAt = Math.min(...curves.map((curve) => curve.settledAt));
  const gainsMore = curves.some(
    (curve) => stillCreeps(curve) || fallSince(curve, 2 * EARLY) > Math.max(0.03 * curve.fall, 3 * curve.endNoise),
  );
  const learned = judged.fall > Math.max(0.15 * Math.abs(judged.start), 6 * judged.endNoise);
  if (judged.points.length < 12 || !learned || settledAt > EARLY || gainsMore || judged.end > DONE * judged.start) return null;
  return {
    kind: 'too-long',
    confidence: validation === null ? 'low' : 'medium',
    evidence: curves.map(
      (curve) =>
        `${nameOf(curve, { validation })} is down to ${formatNumber(curve.lowest)} at ${percent(curve.settledAt)} of the run and gains nothing after`,
    ),
    causes: ['more steps than the task needs', 'a learning rate that gets stuck early'],
    advice: [
      advise('train for a third as long', 'steps', 0.3, 'medium', PLAYBOOK),
      advise('or lower the learning rate and see whether it goes further', 'learning-rate', 0.3, 'low', PLAYBOOK),
    ],
  };
};
