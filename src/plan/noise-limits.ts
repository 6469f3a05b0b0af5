/** Where a measured noise scale says less than it seems to. */
import { formatNumber, type Warning } from './advice.js';
import { kaplanCriticalBatch } from './language-laws.js';

export interface NoiseSetting {
  /** Optimizer steps before the norms were measured. */
  trainSteps: number;
  /** Mean loss of the measured batches in nats a token, null when not known. */
  loss: number | null;
  /** The model is a causal language model. */
  language: boolean;
}

/** Steps that a measured run has hardly learned in: the default of `batchfit noise`, and what a first look takes. */
const EARLY_STEPS = 100;

const GROWS = 'the noise scale grows tenfold and more during training';
const UNDERESTIMATES = 'the noise scale lies orders of magnitude below the critical batch measured in pre-training (Merrill et al. 2025)';

/** The limits of a log, which does not say what was trained, nor for how long. */
export const LOG_LIMITS = [
  `early training: ${GROWS}, and falls with the learning rate; log a tuned run, after its first phase`,
  `language models: ${UNDERESTIMATES}`,
];

/** The noise scale of a run that has just begun, and of language-model pre-training. */
export function noiseLimits({ trainSteps, loss, language }: NoiseSetting): Warning[] {
  const early: Warning = {
    code: 'EARLY_TRAINING',
    message: `the norms are of a model ${trainSteps === 0 ? 'at its first weights' : `after ${trainSteps} steps`}: ${GROWS}`,
    hint: 'raise --train-steps, and give your own tuned --learning-rate',
  };
  return [...(trainSteps < EARLY_STEPS ? [early] : []), ...(language ? [languageModelNoise(loss)] : [])];
}

/** What a language model's noise scale is worth, at a mean loss in nats a token where that is known. */
export function languageModelNoise(loss: number | null): Warning {
  const law =
    loss === null || loss <= 0
      ? ''
      : `; Kaplan's law has ${formatNumber(kaplanCriticalBatch(loss))} tokens at a loss of ${formatNumber(loss)}`;
  return {
    code: 'LANGUAGE_MODEL_NOISE',
    message: `for language models ${UNDERESTIMATES}${law}`,
    hint: 'take it as a lower bound: try twice the batch at sqrt 2 times the rate from a checkpoint, and compare the losses',
  };
}
