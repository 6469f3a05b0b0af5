/** The optimizer's settings beside the learning rate, and how they follow the batch. */
import type { Optimizer } from '../setup.js';
import { formatNumber } from './advice.js';
import { DECOUPLED, OPTIMIZER_DEFAULTS } from './optimizer.js';
import type { Recipe } from './recipe.js';
import { adamSde, betaOfConstantHalfLife, weightDecayOfConstantTimescale } from './scaling.js';

export interface Hyperparameters {
  momentum: number | null;
  beta1: number | null;
  beta2: number | null;
  eps: number | null;
  weightDecay: number | null;
}

export interface OptimizerSettings extends Hyperparameters {
  name: Optimizer;
  why: string;
  citation: string;
}

/** What the reference run used: the recipe's numbers where it gives them, else the optimizer's defaults. */
export function referenceSettings(optimizer: Optimizer, recipe: Recipe | null): Hyperparameters {
  const base = OPTIMIZER_DEFAULTS[optimizer];
  return {
    momentum: recipe?.momentum ?? base.momentum,
    beta1: recipe?.beta1 ?? base.beta1,
    beta2: recipe?.beta2 ?? base.beta2,
    eps: recipe?.eps ?? base.eps,
    weightDecay: recipe?.weightDecay ?? base.weightDecay,
  };
}

export interface HyperparameterRequest {
  optimizer: Optimizer;
  reference: Hyperparameters;
  recipe: Recipe | null;
  /** effective batch / reference batch, null without a reference batch. */
  kappa: number | null;
  /** new learning rate / reference learning rate. */
  rateRatio: number;
  /** The SDE rule was used for the rate, so betas and eps follow it too. */
  sde: boolean;
  /** Momentum to train with, null to keep the reference's. */
  momentum: number | null;
  /** Trained on tokens: the weight decay then keeps its timescale in tokens. */
  language: boolean;
}

/**
 * Momentum and beta1 stay. beta2 keeps its half-life in samples (Marek 2025) unless the rate does not follow the batch or
 * a recipe that scales AdamW linearly keeps it. Decoupled weight decay of language models keeps B / (eta lambda D).
 */
export function scaleHyperparameters(request: HyperparameterRequest): OptimizerSettings {
  const { optimizer, reference, recipe, rateRatio, sde, momentum, language } = request;
  const kappa = request.kappa ?? 1;
  const settings: OptimizerSettings = { name: optimizer, ...reference, momentum: momentum ?? reference.momentum, why: '', citation: '' };
  const said: string[] = [];
  const sources: string[] = [];
  const say = (text: string, source: string) => {
    said.push(text);
    sources.push(source);
  };
  if (sde && reference.beta1 !== null && reference.beta2 !== null) {
    const scaled = adamSde({ learningRate: 1, beta1: reference.beta1, beta2: reference.beta2, eps: reference.eps ?? 1e-8 }, kappa)!;
    Object.assign(settings, { beta1: scaled.beta1, beta2: scaled.beta2, eps: scaled.eps });
    say('betas and eps follow the SDE rule', 'Malladi et al. 2022 (arXiv 2205.10287)');
  } else if (kappa !== 1 && reference.beta2 !== null && recipe?.rule !== 'linear' && rateRatio !== 1) {
    settings.beta2 = betaOfConstantHalfLife(reference.beta2, kappa);
    say(
      `beta2 ${formatNumber(reference.beta2)} to the power ${formatNumber(kappa)} keeps its half-life in samples`,
      'Marek et al. 2025 (arXiv 2507.07101)',
    );
  }
  if (language && kappa !== 1 && DECOUPLED.includes(optimizer) && reference.weightDecay) {
    settings.weightDecay = weightDecayOfConstantTimescale(reference.weightDecay, kappa, rateRatio);
    say('weight decay keeps its timescale in tokens', 'Bergsma et al. 2025 (arXiv 2505.13738)');
  }
  if (momentum !== null && reference.momentum !== null && momentum !== reference.momentum) {
    say('the rate was changed with the momentum so that rate / (1 - momentum) stays', 'Smith et al. 2017 (arXiv 1711.00489)');
  } else if (settings.momentum !== null && kappa !== 1) {
    say('momentum stays: raising it for a small batch acts like halving the batch', 'Smith and Le 2017 (arXiv 1710.06451)');
  }
  const origin = recipe === null ? OPTIMIZER_DEFAULTS[optimizer].source : recipe.name;
  settings.why = [`from ${origin}`, ...said].join('; ');
  settings.citation = [...new Set([recipe?.source[0] ?? OPTIMIZER_DEFAULTS[optimizer].source, ...sources])].join('; ');
  return settings;
}
