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

/** The noise scale of a run that has just begun, and of language-model pre-training. */
export function noiseLimits({ trainSteps, loss, language }: NoiseSetting): Warning[] {
  const warnings: Warning[] = [];
  if (trainSteps < EARLY_STEPS) {
    warnings.push({
      code: 'EARLY_TRAINING',
      message: `the norms are of a model ${trainSteps === 0 ? 'at its first weights' : `after ${trainSteps} steps`}: the noise scale grows tenfold and more during training`,
      hint: 'raise --train-steps, and give your own tuned --learning-rate',
    });
  }
  if (language) {
    const law =
      loss === null || loss <= 0
        ? ''
        : `; Kaplan's law has ${formatNumber(kaplanCriticalBatch(loss))} tokens at a loss of ${formatNumber(loss)}`;
    warnings.push({
      code: 'LANGUAGE_MODEL_NOISE',
      message: `for language-model pre-training the noise scale lies below the critical batch that was measured directly, by orders of magnitude (Merrill et al. 2025)${law}`,
      hint: 'take it as a lower bound: try twice the batch at sqrt 2 times the rate from a checkpoint, and compare the losses',
    });
  }
  return warnings;
}
