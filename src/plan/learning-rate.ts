/** The learning rate for a batch: a reference that is known to work, the rule of its optimizer, and where that rule ends. */
import type { Warning } from '../errors.js';
import type { Optimizer } from '../setup.js';
import type { Source } from '../units.js';
import { type Confidence, formatNumber, roundOff } from './advice.js';
import { OPTIMIZER_DEFAULTS } from './optimizer.js';
import { rateRange } from './rate-range.js';
import { rateWarnings } from './rate-warnings.js';
import type { Recipe } from './recipe.js';
import { adamSde, adaScaleGain, legw, linear, rateForMomentum, squareRoot } from './scaling.js';

export const SCALINGS = ['auto', 'linear', 'sqrt', 'sde', 'adascale', 'none'] as const;
export type Scaling = (typeof SCALINGS)[number];
export type RateRule = 'linear' | 'sqrt' | 'none' | 'recipe' | 'lamb';

/** A setting that is known to work at its own batch. */
export interface RateReference {
  /** Effective batch in samples; null when the rate is a default that was made for none. */
  batch: number | null;
  learningRate: number;
  origin: 'user' | 'recipe' | 'default';
  name: string;
  source: string;
  /** How its authors scale it; null leaves that to the optimizer. */
  rule: Recipe['rule'] | null;
  /** Largest batch that its rule was shown to hold at. */
  limit: number | null;
  momentum: number | null;
}

export interface RateRequest {
  optimizer: Optimizer;
  /** Effective batch in samples. */
  batch: number;
  reference: RateReference;
  scaling: Scaling;
  /** Samples in the training set, null when not known. */
  datasetSize: number | null;
  /** Measured noise scale in samples, null when not known. */
  noiseScale: number | null;
  /** Momentum to train with, null to keep the reference's. */
  momentum: number | null;
  /** Betas and eps of the reference, for the SDE rule; null where the optimizer has none. */
  beta1: number | null;
  beta2: number | null;
}

export interface LearningRate {
  value: number;
  rule: RateRule;
  range: { low: number; high: number };
  reference: { batch: number | null; learningRate: number; name: string; origin: RateReference['origin'] };
  /** effective batch / reference batch. */
  kappa: number | null;
  source: Source;
  citation: string;
  confidence: Confidence;
  why: string;
}

/**
 * The learning rate at a batch. The value follows `reference` by the rule of its recipe or optimizer, its kappa clipped at
 * the noise scale; warnings say where a rule was refused, left its published range, or differs from the optimizer's.
 */
export function scaleLearningRate(request: RateRequest): { learningRate: LearningRate; warnings: Warning[]; sde: boolean } {
  const { batch, reference, noiseScale, optimizer } = request;
  const warnings: Warning[] = [];
  const family = OPTIMIZER_DEFAULTS[optimizer].family;
  const chosen = chooseRule(request, warnings);
  const kappa = reference.batch === null ? null : batch / reference.batch;
  const factor = kappa === null ? 1 : factorOf(chosen, kappa, request, warnings);
  const atMomentum =
    request.momentum === null || reference.momentum === null ? 1 : rateForMomentum(1, reference.momentum, request.momentum);
  const value = roundOff(reference.learningRate * factor * atMomentum);
  const same = kappa === null || kappa === 1;
  const rule: RateRule =
    reference.origin === 'recipe' && kappa === 1 ? 'recipe' : same || chosen === 'none' ? 'none' : reportedRule(chosen, optimizer);
  if (!same) warnings.push(...rateWarnings(chosen, request));
  const citation = same ? reference.source : CITATIONS[chosen];
  const learningRate: LearningRate = {
    value,
    rule,
    range: rateRange({ value, family, batch, kappa, reference, noiseScale }),
    reference: { batch: reference.batch, learningRate: reference.learningRate, name: reference.name, origin: reference.origin },
    kappa,
    source: reference.origin === 'recipe' ? 'recipe' : reference.origin === 'user' ? 'estimated' : 'assumed',
    citation,
    confidence: confidenceOf(chosen, kappa, request, warnings),
    why: explain(rule, chosen, kappa, value, request),
  };
  return { learningRate, warnings, sde: chosen === 'sde' && !same };
}

/** A rule that has been settled on. */
export type Chosen = Exclude<Scaling, 'auto'> | 'lamb';

/** A rule as the plan names it: the gain of AdaScale lies between 1 and the factor of the optimizer's own rule. */
function reportedRule(chosen: Chosen, optimizer: Optimizer): RateRule {
  if (chosen === 'adascale') return OPTIMIZER_DEFAULTS[optimizer].family === 'sgd' ? 'linear' : 'sqrt';
  return chosen === 'sde' ? 'sqrt' : chosen;
}

const CITATIONS: Record<Chosen, string> = {
  linear: 'Goyal et al. 2017 (arXiv 1706.02677)',
  sqrt: 'Malladi et al. 2022 (arXiv 2205.10287)',
  sde: 'Malladi et al. 2022 (arXiv 2205.10287)',
  lamb: 'You et al. 2019 (arXiv 1904.00962), LEGW',
  adascale: 'AdaScale, as in AdaptDL',
  none: 'the reference itself',
};

/** The rule to use: what the user asks for, what the recipe's authors do, else what the optimizer's family calls for. */
function chooseRule(request: RateRequest, warnings: Warning[]): Chosen {
  const { scaling, reference, optimizer, beta1, beta2, noiseScale } = request;
  const family = OPTIMIZER_DEFAULTS[optimizer].family;
  const byFamily: Chosen = family === 'sgd' ? 'linear' : family === 'layer-wise' ? 'lamb' : 'sqrt';
  if (scaling === 'sde') {
    const kappa = reference.batch === null ? 1 : request.batch / reference.batch;
    if (beta1 !== null && beta2 !== null && adamSde({ learningRate: 1, beta1, beta2, eps: 1 }, kappa)) return 'sde';
    warnings.push({
      code: 'SDE_RULE_REFUSED',
      message:
        beta1 === null || beta2 === null
          ? `the SDE rule is for Adam: ${optimizer} has no pair of betas`
          : `the SDE rule holds only below ${formatNumber(1 / (1 - Math.min(beta1, beta2)))} times the reference batch: at ${formatNumber(kappa)} times, beta1 would be ${formatNumber(1 - kappa * (1 - beta1))} and beta2 ${formatNumber(1 - kappa * (1 - beta2))}`,
      hint: 'the square-root rule with a beta2 of constant half-life is used instead; it stays within (0, 1)',
    });
    return byFamily;
  }
  if (scaling === 'adascale' && noiseScale === null) {
    warnings.push({
      code: 'NOISE_SCALE_NEEDED',
      message: 'the AdaScale rule needs the gradient noise scale',
      hint: 'measure it with batchfit noise, and give it as --noise-scale',
    });
    return byFamily;
  }
  if (scaling !== 'auto') return scaling;
  if (reference.rule !== null) {
    if (family === 'adaptive' && reference.rule === 'linear' && request.batch !== reference.batch) {
      warnings.push({
        code: 'RECIPE_SCALES_LINEARLY',
        message: `${reference.name} scales ${optimizer} linearly with the batch, where the literature has the square root; the recipe is followed`,
        hint: '--scaling sqrt uses the square root',
      });
    }
    return reference.rule;
  }
  return byFamily;
}

/** What the reference rate is multiplied by: kappa is counted only up to the noise scale. */
function factorOf(chosen: Chosen, kappa: number, request: RateRequest, warnings: Warning[]): number {
  const { reference, noiseScale, batch, optimizer } = request;
  const from = reference.batch!;
  if (chosen === 'adascale') {
    const gain = adaScaleGain(kappa, noiseScale! / from, 1);
    return OPTIMIZER_DEFAULTS[optimizer].family === 'sgd' ? gain : Math.sqrt(gain);
  }
  if (chosen === 'none') return 1;
  const clipped = noiseScale === null ? kappa : Math.min(batch, noiseScale) / Math.min(from, noiseScale);
  if (noiseScale !== null && batch > noiseScale && kappa > 1) {
    warnings.push({
      code: 'ABOVE_NOISE_SCALE',
      message: `the batch ${batch} is above the noise scale ${formatNumber(noiseScale)}: the learning rate stops growing there${optimizerFalls(optimizer)}`,
      hint: 'a batch near the noise scale reaches the target with far fewer samples; see candidates',
    });
  }
  if (chosen === 'linear') return linear(clipped);
  return chosen === 'lamb' ? legw(clipped).learningRate : squareRoot(clipped);
}

const optimizerFalls = (optimizer: Optimizer) =>
  OPTIMIZER_DEFAULTS[optimizer].family === 'adaptive' ? ', and the best one for Adam falls again (Li et al. 2024)' : '';

/** The linear rule for SGD was shown from 256 to 8192, 32 times the batch; the square root for Adam over about 8 times. */
function confidenceOf(chosen: Chosen, kappa: number | null, { reference, optimizer }: RateRequest, warnings: Warning[]): Confidence {
  if (reference.origin === 'default') return 'low';
  if (kappa === null || kappa === 1) return 'high';
  if (chosen === 'none' || warnings.some((warning) => warning.code !== 'RECIPE_SCALES_LINEARLY')) return 'low';
  const doublings = Math.abs(Math.log2(kappa));
  if (chosen === 'linear' && OPTIMIZER_DEFAULTS[optimizer].family === 'sgd') return doublings <= 5 ? 'high' : 'low';
  return doublings <= 3 ? 'medium' : 'low';
}

function explain(rule: RateRule, chosen: Chosen, kappa: number | null, value: number, { reference, optimizer }: RateRequest): string {
  const from = `${formatNumber(reference.learningRate)} at batch ${reference.batch}`;
  if (kappa === null) return `${reference.name}: a default made for no particular batch, so it is not scaled`;
  if (kappa === 1 && rule === 'recipe') return `${reference.name} at its own batch`;
  if (kappa === 1) return `the effective batch is that of ${reference.name}: the rate follows the effective batch, not how it is split`;
  if (chosen === 'none') return `${reference.name}: ${from}, not scaled`;
  const names: Record<Chosen, string> = {
    linear: 'linear rule',
    sqrt: 'square-root rule',
    sde: 'SDE rule',
    lamb: 'square-root rule of LAMB and LARS',
    adascale: 'AdaScale gain',
    none: '',
  };
  const whom =
    chosen === 'linear' && OPTIMIZER_DEFAULTS[optimizer].family === 'adaptive' ? `as ${reference.name} does` : `for ${optimizer}`;
  return `${names[chosen]} ${whom}: ${from}, times ${formatNumber(value / reference.learningRate)} for ${formatNumber(kappa)} times the batch`;
}
