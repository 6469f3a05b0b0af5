/** The plan's own account of itself: one sentence for each decision, with where it is from. */
import { formatNumber, type Reason } from './advice.js';
import type { BatchSplit } from './batch.js';
import type { OptimizerSettings } from './hyperparameters.js';
import type { LearningRate } from './learning-rate.js';
import type { MicroLimit } from './limit.js';
import type { PlanInput } from './training-plan.js';
import type { Warmup } from './warmup.js';

/** Why the effective batch is divided as it is. */
export function explainSplit(
  { accumulation, replicas, effective, residue }: BatchSplit,
  { single, accumulated, source }: MicroLimit,
): string {
  const limit = `${source === 'measured' ? 'measured' : 'estimated'} limit of ${accumulation > 1 ? accumulated : single}`;
  if (accumulation === 1) return `${effective / replicas} samples a device fit in one pass (${source === 'measured' ? 'measured' : limit})`;
  const exact = residue === 0 ? 'divides the target exactly' : `comes nearest to the target (${residue > 0 ? '+' : ''}${residue})`;
  return `the largest micro batch within the ${limit} that ${exact}; ${accumulation} passes make one update`;
}

export interface ReasonRequest {
  target: Reason;
  split: BatchSplit;
  limit: MicroLimit;
  learningRate: LearningRate;
  hyperparameters: OptimizerSettings;
  warmup: Warmup;
  input: PlanInput;
  epochs: number | null;
}

/** Batches from which on the literature debates generalization: Keskar's small ones end at 512. */
const LARGE_BATCH = 512;
/** Up to here a batch counts as small for the advice on momentum. */
const SMALL_BATCH = 32;

export function reasonsOf({ target, split, limit, learningRate, hyperparameters, warmup, input, epochs }: ReasonRequest): Reason[] {
  const { model, request, optimizer } = input;
  const reasons: Reason[] = [
    target,
    { topic: 'batch', text: explainSplit(split, limit), source: limit.source === 'measured' ? 'probe' : 'memory estimate' },
    { topic: 'learning-rate', text: learningRate.why, source: learningRate.citation },
    { topic: 'optimizer', text: hyperparameters.why, source: hyperparameters.citation },
    { topic: 'warmup', text: warmup.why, source: warmup.citation },
  ];
  if (split.accumulation > 1) {
    reasons.push({
      topic: 'learning-rate',
      text: 'learning rate, warm-up and schedule follow the effective batch; accumulation changes none of them, and brings no speed by itself',
      source: 'arithmetic; Google tuning playbook',
    });
  }
  if ((learningRate.kappa ?? 1) > 1 && (epochs !== null || request.datasetSize !== null)) {
    reasons.push({
      topic: 'schedule',
      text: `on the same epochs this batch makes ${formatNumber(1 / learningRate.kappa!)} times the reference's updates; train longer if it underfits`,
      source: 'Shallue et al. 2018 (arXiv 1811.03600)',
    });
  }
  if (split.effective > LARGE_BATCH) {
    reasons.push({
      topic: 'batch',
      text: 'large batches were seen to generalize worse untuned (Keskar 2016) and no worse when everything is re-tuned (Shallue 2018): judge on a validation set',
      source: 'arXiv 1609.04836; arXiv 1811.03600',
    });
  }
  if (split.effective <= SMALL_BATCH && hyperparameters.momentum !== null && hyperparameters.momentum > 0) {
    reasons.push({
      topic: 'optimizer',
      text: `more momentum for a small batch is a common heuristic with the opposite effect: 0.95 instead of 0.9 acts like half the batch; if you try it, use ${formatNumber((learningRate.value * 0.05) / (1 - hyperparameters.momentum))} as the rate`,
      source: 'Smith and Le 2017 (arXiv 1710.06451)',
    });
  }
  const undecided = input.curve === null || (request.goal === 'time' && request.noiseScale === null);
  if (request.goal !== null && request.targetBatch === null && undecided) {
    reasons.push({
      topic: 'throughput',
      text: `--goal ${request.goal} needs the throughput curve${request.goal === 'time' ? ' and the noise scale' : ''}: without, it did not decide the batch`,
      source: 'batchfit',
    });
  }
  if (model.sequence !== null) {
    reasons.push({
      topic: 'data',
      text: `memory is for ${model.sequence} tokens in every sample: pack or bucket samples of other lengths`,
      source: 'arithmetic',
    });
  }
  reasons.push({ topic: 'data', text: 'shuffle before every epoch', source: 'Goyal et al. 2017 (arXiv 1706.02677)' });
  if (optimizer === 'lamb' || optimizer === 'lars') {
    reasons.push({
      topic: 'optimizer',
      text: `${optimizer} is not needed for large batches: tuned Nesterov momentum and Adam match it`,
      source: 'Nado et al. 2021 (arXiv 2102.06356)',
    });
  }
  return reasons;
}
