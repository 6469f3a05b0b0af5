/** Warm-up of the learning rate, in the unit that its source keeps when the batch changes. */
import type { Optimizer } from '../setup.js';
import { formatNumber } from './advice.js';
import { OPTIMIZER_DEFAULTS } from './optimizer.js';
import type { Recipe } from './recipe.js';
import { lambResnet50, legw } from './scaling.js';

export interface WarmupRequest {
  optimizer: Optimizer;
  recipe: Recipe | null;
  /** Effective batch in samples. */
  batch: number;
  /** effective batch / reference batch, null without a reference batch. */
  kappa: number | null;
  /** beta2 that will be trained with, null where the optimizer has none. */
  beta2: number | null;
  stepsPerEpoch: number | null;
  totalSteps: number | null;
  tokensPerStep: number | null;
}

export interface Warmup {
  /** Optimizer updates; null while the data set's size is not known and the warm-up is counted in epochs. */
  steps: number | null;
  epochs: number | null;
  /** Rate at the first step as a share of the peak: Goyal starts from the unscaled rate, others from 0. */
  fromFraction: number;
  why: string;
  citation: string;
}

const GOYAL_EPOCHS = 5;
const GOYAL = 'Goyal et al. 2017 (arXiv 1706.02677)';
/** Of a run that is too short for the untuned warm-up: the share that Marek et al. 2025 warm up for. */
const SHORT_RUN_SHARE = 0.05;
/** A warm-up beyond this share of a run leaves it too little. */
const LONGEST_SHARE = 0.2;

/**
 * - SGD family: 5 epochs from the reference rate when the batch grows (Goyal), the recipe's own warm-up otherwise.
 * - LARS and LAMB: the recipe's epochs times kappa (LEGW).
 * - Adam family: the recipe's warm-up at the same samples or tokens, never below 1 / (1 - beta2) steps; without a recipe
 *   2 / (1 - beta2) steps (Ma and Yarats).
 * Both are for long runs: a short one warms up for a share of its steps, and small data for no more than 5 epochs.
 */
export function chooseWarmup(request: WarmupRequest): Warmup {
  const { optimizer, recipe, batch } = request;
  const family = OPTIMIZER_DEFAULTS[optimizer].family;
  const own = recipe?.warmup ?? null;
  const applies = own !== null && (own.above === undefined || batch > own.above);
  if (family === 'sgd') {
    if (applies) return fromRecipe(request, 1);
    return (request.kappa ?? 1) > 1 ? gradual(request) : none('the batch is not above the reference batch, so no warm-up is needed', GOYAL);
  }
  if (family === 'layer-wise') {
    if (applies) return fromRecipe(request, own.epochs === undefined ? 1 : legw(request.kappa ?? 1).warmupEpochs);
    return finish(
      request,
      { epochs: lambResnet50(batch).warmupEpochs },
      0,
      '20 B/32768 epochs, as LAMB was trained on ImageNet',
      'You et al. 2019 (arXiv 1904.00962)',
    );
  }
  return applies ? fromRecipe(request, 1) : untuned(request);
}

function none(why: string, citation: string): Warmup {
  return { steps: 0, epochs: 0, fromFraction: 1, why, citation };
}

/** Goyal's run has 90 epochs, and found the length not to matter much: a run of few epochs keeps most of them at full rate. */
function gradual(request: WarmupRequest): Warmup {
  const { totalSteps, stepsPerEpoch, kappa } = request;
  const how = `a little more at every step, from the reference rate to ${formatNumber(kappa!)} times it`;
  const longest = totalSteps === null ? null : Math.max(1, Math.floor(LONGEST_SHARE * totalSteps));
  if (longest !== null && stepsPerEpoch !== null && GOYAL_EPOCHS * stepsPerEpoch > longest) {
    const why = `${LONGEST_SHARE * 100} % of a run that is too short for ${GOYAL_EPOCHS} epochs of warm-up, ${how}`;
    return finish(request, { steps: longest }, 1 / kappa!, why, GOYAL);
  }
  return finish(request, { epochs: GOYAL_EPOCHS }, 1 / kappa!, `${GOYAL_EPOCHS} epochs, ${how}`, GOYAL);
}

/**
 * Ma and Yarats 2019: linear over 2 / (1 - beta2) steps needs no tuning; in a short run 5 % of its steps. While the length
 * of the run is not known, 5 epochs are the most (Goyal's warm-up, and the default of timm's training script).
 */
function untuned(request: WarmupRequest): Warmup {
  const { totalSteps, stepsPerEpoch } = request;
  const beta2 = request.beta2 ?? OPTIMIZER_DEFAULTS.adam.beta2!;
  const steps = Math.round(2 / (1 - beta2));
  if (totalSteps !== null && steps > LONGEST_SHARE * totalSteps) {
    const short = Math.max(1, Math.round(SHORT_RUN_SHARE * totalSteps));
    return finish(
      request,
      { steps: short },
      0,
      `5 % of a run that is too short for 2 / (1 - beta2) = ${steps} steps`,
      'Marek et al. 2025 (arXiv 2507.07101)',
    );
  }
  if (totalSteps === null && stepsPerEpoch !== null && steps > GOYAL_EPOCHS * stepsPerEpoch) {
    const why = `${GOYAL_EPOCHS} epochs of small data, where 2 / (1 - beta2) = ${steps} steps would be ${formatNumber(steps / stepsPerEpoch)}; with --epochs it follows the run`;
    return finish(request, { epochs: GOYAL_EPOCHS }, 0, why, "default of timm's train.py, as in Goyal et al. 2017");
  }
  return finish(request, { steps }, 0, `2 / (1 - beta2) steps with beta2 ${formatNumber(beta2)}`, 'Ma and Yarats 2019 (arXiv 1910.04209)');
}

/** The recipe's own warm-up: epochs times `epochFactor`; steps at the same number of samples, not below 1 / (1 - beta2). */
function fromRecipe(request: WarmupRequest, epochFactor: number): Warmup {
  const { recipe, kappa, beta2, totalSteps, tokensPerStep } = request;
  const own = recipe!.warmup!;
  const citation = recipe!.source[0]!;
  const from = own.from === undefined || recipe!.learningRate === null ? 0 : own.from / recipe!.learningRate;
  const scale = kappa ?? 1;
  if (own.epochs !== undefined) {
    const epochs = own.epochs * epochFactor;
    const factor = epochFactor === 1 ? '' : `, ${formatNumber(own.epochs)} times ${formatNumber(epochFactor)}`;
    const start = OPTIMIZER_DEFAULTS[request.optimizer].family === 'sgd' && own.from === undefined ? Math.min(1, 1 / scale) : from;
    return finish(request, { epochs }, start, `${formatNumber(epochs)} epochs as in ${recipe!.name}${factor}`, citation);
  }
  const floor = beta2 === null ? 1 : Math.ceil(1 / (1 - beta2));
  const atSameSamples = (steps: number) => {
    const scaled = Math.round(steps / scale);
    return scaled < floor && scale > 1
      ? { steps: floor, note: `, not below 1 / (1 - beta2) = ${floor}` }
      : { steps: Math.max(1, scaled), note: '' };
  };
  if (own.steps !== undefined) {
    const { steps, note } = atSameSamples(own.steps);
    const why = scale === 1 ? `${own.steps} steps as in ${recipe!.name}` : `the samples of ${own.steps} steps of ${recipe!.name}${note}`;
    return finish(request, { steps }, from, why, citation);
  }
  if (own.tokens !== undefined && tokensPerStep !== null) {
    return finish(
      request,
      { steps: Math.max(floor, Math.round(own.tokens / tokensPerStep)) },
      from,
      `${formatNumber(own.tokens)} tokens as in ${recipe!.name}`,
      citation,
    );
  }
  const ownSteps = own.fraction !== undefined && recipe!.steps !== null ? Math.round(own.fraction * recipe!.steps) : null;
  if (own.fraction !== undefined && totalSteps !== null) {
    return finish(
      request,
      { steps: Math.max(1, Math.round(own.fraction * totalSteps)) },
      from,
      `${formatNumber(own.fraction * 100)} % of the steps as in ${recipe!.name}`,
      citation,
    );
  }
  if (ownSteps !== null) {
    const { steps, note } = atSameSamples(ownSteps);
    return finish(
      request,
      { steps },
      from,
      `${formatNumber(own.fraction! * 100)} % of the ${recipe!.steps} steps of ${recipe!.name}${note}`,
      citation,
    );
  }
  return OPTIMIZER_DEFAULTS[request.optimizer].family === 'sgd' ? gradual({ ...request, kappa: Math.max(1, scale) }) : untuned(request);
}

/** Fills in the other unit from the steps of an epoch. */
function finish(
  { stepsPerEpoch }: WarmupRequest,
  amount: { epochs: number } | { steps: number },
  fromFraction: number,
  why: string,
  citation: string,
): Warmup {
  const perEpoch = stepsPerEpoch === null || stepsPerEpoch === 0 ? null : stepsPerEpoch;
  if ('epochs' in amount) {
    return { steps: perEpoch === null ? null : Math.ceil(amount.epochs * perEpoch), epochs: amount.epochs, fromFraction, why, citation };
  }
  return { steps: amount.steps, epochs: perEpoch === null ? null : amount.steps / perEpoch, fromFraction, why, citation };
}
