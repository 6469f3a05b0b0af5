import { formatNumber } from '../advice.js';
import { type Curve, fallSince } from './curve.js';
import { advise, type Curves, type Finding, type Judge, PLAYBOOK, percent, SHALLUE } from './finding.js';

/** Share of a validation loss that it must rise by, and of its fall: less is drift. */
const RISE = 0.03;
const RISE_OF_FALL = 0.03;

/** The validation loss rises, or stands still far above, while the training loss goes on falling. */
export const findOverfitting: Judge = ({ train, validation }) => {
  if (validation === null) return null;
  const rise = validation.end - validation.lowest;
  const significant = rise > Math.max(RISE * Math.abs(validation.lowest), RISE_OF_FALL * validation.fall, 4 * validation.endNoise);
  if (significant && (train === null || stillFalls(train, validation.lowestAt))) return risingAgain({ train, validation }, rise);
  return train !== null && standsApart(train, validation) ? apart(train, validation) : null;
};

const stillFalls = (train: Curve, since: number) => fallSince(train, since) > Math.max(0.02 * train.fall, 2 * train.endNoise);

/** The training loss made a good part of its fall after validation had settled, to less than half of a validation loss far above. */
function standsApart(train: Curve, validation: Curve): boolean {
  const settled = Math.min(validation.settledAt, validation.lowestAt);
  const noise = 4 * Math.hypot(validation.endNoise, train.endNoise);
  const far = validation.end > 2 * train.end + noise && validation.end - train.end > 0.2 * Math.abs(validation.start);
  return settled < 0.7 && far && fallSince(train, settled) > Math.max(0.07 * train.fall, 4 * train.endNoise);
}

function risingAgain({ train, validation }: Pick<Curves, 'train'> & { validation: Curve }, rise: number): Finding {
  const evidence = [
    `the validation loss was lowest (${formatNumber(validation.lowest)}) at ${percent(validation.lowestAt)} of the run and ended at ${formatNumber(validation.end)}`,
  ];
  if (train !== null) evidence.push(`the training loss went on falling to ${formatNumber(train.end)}`);
  const large = rise > 0.15 * Math.abs(validation.lowest);
  return overfitting(train === null ? 'low' : large ? 'high' : 'medium', evidence);
}

function apart(train: Curve, validation: Curve): Finding {
  return overfitting('medium', [
    `the validation loss stands at ${formatNumber(validation.end)} since ${percent(validation.settledAt)} of the run`,
    `the training loss went on falling to ${formatNumber(train.end)}`,
  ]);
}

function overfitting(confidence: Finding['confidence'], evidence: string[]): Finding {
  return {
    kind: 'overfitting',
    confidence,
    evidence,
    causes: ['trained beyond the best validation step', 'too little regularization or data for the size of the model'],
    advice: [
      advise('keep the checkpoint of the lowest validation loss, and stop there next time', 'steps', null, 'high', PLAYBOOK),
      advise('more weight decay, dropout, augmentation or data', 'regularization', null, 'high', PLAYBOOK),
      advise(
        'a smaller batch may help a little: batch size is no lever on validation loss once the rest is re-tuned',
        'batch',
        0.5,
        'low',
        SHALLUE,
      ),
    ],
  };
}
