import { formatNumber } from '../advice.js';
import { type Curve, fallSince } from './curve.js';
import { advise, type Judge, nameOf, PLAYBOOK, SHALLUE } from './finding.js';

/** A loss that made less than this share of its starting value has hardly learned. */
const SMALL_FALL = 0.15;
/** Below this it does not matter whether it is still falling. */
const TINY_FALL = 0.05;
/** Training and validation within this share of each other have no gap to speak of. */
const SMALL_GAP = 0.15;

/** Training and validation loss are both near where they began, and flat. */
export const findUnderfitting: Judge = ({ train, validation, judged }) => {
  const curves = [train, validation].filter((curve) => curve !== null);
  if (!curves.every((curve) => hardlyFell(curve) && isFlat(curve))) return null;
  if (train !== null && validation !== null && Math.abs(validation.end - train.end) > SMALL_GAP * Math.abs(train.end)) return null;
  const evidence = curves.map(
    (curve) => `${nameOf(curve, { validation })} went from ${formatNumber(curve.start)} to ${formatNumber(curve.end)} and is flat`,
  );
  return {
    kind: 'underfitting',
    confidence: validation !== null && train !== null ? (judged.fall < 0.08 * Math.abs(judged.start) ? 'high' : 'medium') : 'low',
    evidence,
    causes: [
      'learning rate far too low or too high',
      'a mistake in the data, the labels or the loss',
      'too few updates',
      'a model that is too small',
    ],
    advice: [
      advise(
        'try three and ten times the learning rate, and a tenth of it: the right one falls at once',
        'learning-rate',
        3,
        'medium',
        PLAYBOOK,
      ),
      advise('train on one batch only: a correct set-up brings its loss near zero', 'data', null, 'medium', 'common practice'),
      advise('train for more updates: a larger batch makes fewer of them in an epoch', 'steps', 2, 'medium', SHALLUE),
      advise('a larger batch is not the cure: it lowers noise, and there is none to lower', 'batch', null, 'low', SHALLUE),
    ],
  };
};

const hardlyFell = (curve: Curve) => curve.fall < SMALL_FALL * Math.abs(curve.start);

const isFlat = (curve: Curve) =>
  curve.fall < TINY_FALL * Math.abs(curve.start) ||
  Math.abs(fallSince(curve, 0.5)) < Math.max(0.3 * curve.fall, 3 * curve.endNoise, 0.005 * Math.abs(curve.start));
