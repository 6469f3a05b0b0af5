/** Where a scaling rule leaves what it was shown or derived for. */
import type { Warning } from '../errors.js';
import { formatNumber } from './advice.js';
import type { Chosen, RateRequest } from './learning-rate.js';
import { OPTIMIZER_DEFAULTS, UNSTUDIED } from './optimizer.js';
import { sgdNoise } from './scaling.js';

type Caution = (chosen: Chosen, request: RateRequest) => Warning | null;

/** ImageNet error over that at 8192 under the linear rule, in points. Goyal et al. 2017, table behind figure 1. */
const LINEAR_LIMIT = 8192;
const LINEAR_LOSS = 'it lost 1.05 points of ImageNet top-1 at 16384, 3.8 at 32768 and 10.2 at 65536';
const TUNE = 'tune the learning rate at this one: batchfit tune';

const aboveLimit: Caution = (chosen, { batch, reference, optimizer }) => {
  const limit = reference.limit ?? (chosen === 'linear' && OPTIMIZER_DEFAULTS[optimizer].family === 'sgd' ? LINEAR_LIMIT : null);
  if (limit === null || batch <= limit || batch <= (reference.batch ?? 0) || chosen === 'none') return null;
  return {
    code: chosen === 'linear' ? 'LINEAR_RULE_ABOVE_LIMIT' : 'RULE_ABOVE_LIMIT',
    message: `the batch ${batch} is above ${limit}, up to which the ${chosen} rule was shown to hold${chosen === 'linear' ? `: ${LINEAR_LOSS}` : ''}`,
    hint: `train with a smaller batch, or ${TUNE}`,
  };
};

/**
 * The rules hold the noise eps N / B of many small steps; what is left of it near the data set is eps (N/B - 1). Smith et al.
 * 2017 (arXiv 1711.00489) let the batch grow up to a tenth of the data, and then went back to the learning rate.
 */
const SHARE_OF_DATA = 0.1;

const nearData: Caution = (chosen, { batch, reference, datasetSize }) => {
  if (datasetSize === null || chosen === 'none' || reference.batch === null) return null;
  if (batch <= reference.batch || batch <= SHARE_OF_DATA * datasetSize || batch >= datasetSize) return null;
  const { batch: from, momentum } = reference;
  const noise = sgdNoise(batch / from, datasetSize, batch, momentum ?? 0) / sgdNoise(1, datasetSize, from, momentum ?? 0);
  return {
    code: 'BATCH_NEAR_DATASET',
    message: `the batch ${batch} is ${formatNumber((100 * batch) / datasetSize)} % of the data set: the scaling rules are derived for batches far below it (${formatNumber(100 * (1 - noise))} % of the noise that they hold is gone), and few updates are left of an epoch`,
    hint: `take a batch of at most ${Math.max(1, Math.floor(SHARE_OF_DATA * datasetSize))}, a tenth of the data (Smith et al. 2017), or train for more epochs and ${TUNE}`,
  };
};

/** Asked for by name, and measured to be the worse choice: Goyal et al. 2017, table 2a, at batch 8192. */
const againstLiterature: Caution = (chosen, { scaling, optimizer, reference, batch }) => {
  const { family } = OPTIMIZER_DEFAULTS[optimizer];
  const grows = reference.batch !== null && batch > reference.batch;
  if (scaling === 'auto' || !grows) return null;
  if (family === 'sgd' && (chosen === 'sqrt' || chosen === 'none')) {
    return {
      code: 'SCALING_AGAINST_LITERATURE',
      message: `--scaling ${chosen} with ${optimizer}: ImageNet's error at 8192 was 23.74 % with the linear rule, 26.22 % with the square root and 41.67 % unscaled`,
      hint: 'leave --scaling out for the linear rule (Goyal et al. 2017)',
    };
  }
  if (family === 'adaptive' && chosen === 'linear' && reference.rule !== 'linear') {
    return {
      code: 'SCALING_AGAINST_LITERATURE',
      message: `--scaling linear with ${optimizer}: the best rate of Adam and its kin grows with the square root of the batch, and at most linearly`,
      hint: 'leave --scaling out for the square root (Malladi et al. 2022)',
    };
  }
  return null;
};

/** Beyond this the two exponents that are published for Adam are far apart. */
const APART = 8;

/** Not for a recipe, whose authors chose their own rule. */
const openExponent: Caution = (chosen, { optimizer, reference, batch }) => {
  const kappa = reference.batch === null ? 1 : batch / reference.batch;
  if (OPTIMIZER_DEFAULTS[optimizer].family !== 'adaptive' || chosen !== 'sqrt' || reference.rule !== null || kappa < APART) return null;
  const rate = (exponent: number): string => formatNumber(reference.learningRate * kappa ** exponent);
  return {
    code: 'RATE_EXPONENT_OPEN',
    message: `at ${formatNumber(kappa)} times the batch the square root gives ${rate(0.5)} and the linear rule ${rate(1)}: for Adam exponents from a half to one are published (McCandlish et al. 2018). Small text classifiers lost 1.3 to 2.3 points with the square root and 0.5 to 0.7 with the linear rule at 8 to 16 times the batch; on images the square root was better`,
    hint: 'try the upper end of learningRate.range as well: batchfit tune',
  };
};

const unstudied: Caution = (chosen, { optimizer }) =>
  UNSTUDIED.includes(optimizer) && chosen === 'sqrt'
    ? {
        code: 'RULE_NOT_STUDIED',
        message: `the square-root rule is taken over from Adam: no study of it for ${optimizer} is known`,
        hint: 'check the rate with a short run at half and at double of it',
      }
    : null;

const ALL = [aboveLimit, nearData, againstLiterature, openExponent, unstudied];

/** For a batch other than the reference's. */
export function rateWarnings(chosen: Chosen, request: RateRequest): Warning[] {
  return ALL.flatMap((caution) => caution(chosen, request) ?? []);
}
