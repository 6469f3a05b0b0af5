/** Published laws of language-model pre-training beside a plan's own numbers: a range to compare with, never the answer. */
import type { Warning } from '../errors.js';
import { crossCheck } from './language-laws.js';
import type { ModelFacts } from './model-facts.js';
import type { CrossCheck } from './training-plan.js';

export interface CrossCheckRequest {
  model: ModelFacts;
  tokensPerStep: number | null;
  datasetSize: number | null;
  epochs: number | null;
  learningRate: number;
}

/** Training compute of a dense decoder is about 6 FLOPs a parameter and token (Kaplan et al. 2020, arXiv 2001.08361). */
const FLOPS_PER_TOKEN = 6;

/** Null unless the model is a causal language model and the data set's size is known. */
export function checkAgainstLaws(request: CrossCheckRequest): { result: CrossCheck | null; warnings: Warning[] } {
  const { model, tokensPerStep, datasetSize, epochs, learningRate } = request;
  if (model.task !== 'language-model' || model.sequence === null || tokensPerStep === null || datasetSize === null)
    return { result: null, warnings: [] };
  const tokens = datasetSize * model.sequence * (epochs ?? 1);
  const laws = crossCheck({
    ...{ parameters: model.parameters, tokens, flops: FLOPS_PER_TOKEN * model.parameters * tokens },
    ...{ learningRate, batchTokens: tokensPerStep },
  });
  const range = (values: Array<number | null>) => {
    const known = values.filter((value) => value !== null);
    return { low: Math.min(...known), high: Math.max(...known) };
  };
  const rates = range(laws.map((law) => law.learningRate));
  const batches = range(laws.map((law) => law.batchTokens));
  const outside = laws.filter((law) => law.inDomain === false).map((law) => law.law);
  const warnings: Warning[] =
    outside.length === 0
      ? []
      : [
          {
            code: 'LAWS_OUTSIDE_FIT',
            message: `${model.parameters} parameters on ${tokens} tokens lie outside the range that ${outside.join(' and ')} fitted: the cross-check is an extrapolation`,
            hint: 'trust a published recipe of a model of this size over the laws',
          },
        ];
  return {
    result: {
      laws,
      learningRate: rates,
      batchTokens: batches,
      within: {
        learningRate: learningRate >= rates.low && learningRate <= rates.high,
        batch: tokensPerStep >= batches.low && tokensPerStep <= batches.high,
      },
    },
    warnings,
  };
}
