/** Shell variables for any script. Without the BATCHFIT_ prefix: that one is for batchfit's own flags. */
import { compact, type Exporter } from './exporter.js';

export const exportEnv: Exporter = ({ plan, setup, model }) => {
  const { batch, learningRate, optimizer, warmup, schedule, loader } = plan;
  const variables = compact({
    MICRO_BATCH_SIZE: batch.micro,
    GRADIENT_ACCUMULATION_STEPS: batch.accumulation,
    REPLICAS: batch.replicas,
    EFFECTIVE_BATCH_SIZE: batch.effective,
    SEQUENCE_LENGTH: model.sequence,
    LEARNING_RATE: learningRate.value,
    OPTIMIZER: optimizer.name,
    MOMENTUM: optimizer.momentum,
    BETA1: optimizer.beta1,
    BETA2: optimizer.beta2,
    EPS: optimizer.eps,
    WEIGHT_DECAY: optimizer.weightDecay,
    WARMUP_STEPS: warmup.steps,
    STEPS_PER_EPOCH: schedule.stepsPerEpoch,
    TOTAL_STEPS: schedule.totalSteps,
    EPOCHS: schedule.epochs,
    PRECISION: setup.precision,
    DROP_LAST: schedule.dropLast ? 1 : 0,
    NUM_WORKERS: loader.workers,
    PREFETCH_FACTOR: loader.prefetch,
    PIN_MEMORY: loader.pinMemory ? 1 : 0,
  });
  const content = Object.entries(variables).map(([name, value]) => `export ${name}=${value}\n`);
  return { filename: 'plan.env', content: content.join(''), notes: [] };
};
