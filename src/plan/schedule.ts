/** Steps per epoch and in total: exact counts under each framework's habit at the end of an epoch. */

/**
 * What happens to micro batches left over when an epoch ends in the middle of an accumulation:
 * - `flush`: an update is made from what is there (Hugging Face Trainer, accelerate, Lightning);
 * - `carry`: accumulation goes on into the next epoch (Keras, DeepSpeed, a loop that counts micro steps);
 * - `drop`: they are not used (torchtune).
 */
export type EpochEnd = 'flush' | 'carry' | 'drop';

/** Read in each framework's source: where its trainer decides to step. */
const EPOCH_END_OF: Record<string, EpochEnd> = {
  'hf-trainer': 'flush',
  accelerate: 'flush',
  axolotl: 'flush',
  lightning: 'flush',
  keras: 'carry',
  tensorflow: 'carry',
  deepspeed: 'carry',
  torchtune: 'drop',
  env: 'flush',
};

/** The habit of a training program or framework; a loop of one's own that nothing is known of makes an update. */
export function epochEndOf(trainer: string): EpochEnd {
  return EPOCH_END_OF[trainer] ?? 'flush';
}

export interface StepRequest {
  datasetSize: number;
  micro: number;
  accumulation: number;
  replicas: number;
  /** The loader leaves out a last, smaller micro batch. */
  dropLast: boolean;
  epochEnd: EpochEnd;
  epochs: number | null;
}

export interface StepCount {
  /** Micro batches that each replica runs in an epoch: ceil(N / (micro * replicas)), floor with dropLast. */
  microBatchesPerEpoch: number;
  /** Optimizer updates in an epoch; under `carry` the whole updates of the first epoch. */
  stepsPerEpoch: number;
  /** Optimizer updates over all epochs; null while the epochs are unknown. */
  totalSteps: number | null;
  /** Samples of the last micro batch over all replicas (equal to micro * replicas when none is smaller). */
  lastMicroBatch: number;
  /** Samples behind the last update of an epoch; equal to the effective batch when all updates are full. */
  lastStepSamples: number;
  /** Samples of an epoch that no update uses (dropLast, `drop`). */
  unusedSamples: number;
}

/** Counts updates: ceil(ceil(N / (b R)) / a) under `flush`, with the variants of `dropLast`, `carry` and `drop`. */
export function countSteps(request: StepRequest): StepCount {
  const { datasetSize, micro, accumulation, replicas, dropLast, epochEnd, epochs } = request;
  const world = micro * replicas;
  const microBatches = dropLast ? Math.floor(datasetSize / world) : Math.ceil(datasetSize / world);
  const whole = Math.floor(microBatches / accumulation);
  const left = microBatches % accumulation;
  const stepsPerEpoch = epochEnd === 'flush' ? Math.ceil(microBatches / accumulation) : whole;
  const used = epochEnd === 'drop' ? microBatches - left : microBatches;
  const totalSteps =
    epochs === null ? null : epochEnd === 'carry' ? Math.floor((microBatches * epochs) / accumulation) : Math.ceil(stepsPerEpoch * epochs);
  const usedSamples = Math.min(datasetSize, used * world);
  const lastMicroBatch = dropLast || microBatches === 0 ? world : datasetSize - (microBatches - 1) * world;
  const lastStepSamples =
    stepsPerEpoch === 0 ? 0 : epochEnd === 'flush' ? usedSamples - (stepsPerEpoch - 1) * accumulation * world : accumulation * world;
  return {
    microBatchesPerEpoch: microBatches,
    stepsPerEpoch,
    totalSteps,
    lastMicroBatch,
    lastStepSamples,
    unusedSamples: datasetSize - usedSamples,
  };
}
