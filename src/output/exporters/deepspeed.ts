/** DeepSpeed: ds_config.json. */
import type { Optimizer } from '../../setup.js';
import { compact, type Exporter, json, usesBf16, usesFp16 } from './exporter.js';

/** DeepSpeed's own optimizers, else the name that it takes from torch.optim. */
const TYPES: Partial<Record<Optimizer, string>> = {
  sgd: 'SGD',
  momentum: 'SGD',
  nesterov: 'SGD',
  adam: 'Adam',
  adamw: 'AdamW',
  adagrad: 'Adagrad',
  rmsprop: 'RMSprop',
  lamb: 'Lamb',
  lion: 'Lion',
};
const STAGES: Record<string, number> = { ddp: 0, zero1: 1, zero2: 2, zero3: 3, fsdp: 3 };

export const exportDeepspeed: Exporter = ({ plan, setup }) => {
  const { batch, learningRate, optimizer, warmup, schedule } = plan;
  const type = TYPES[optimizer.name];
  const { momentum, beta1, beta2, eps, weightDecay } = optimizer;
  const params = compact({
    lr: learningRate.value,
    betas: beta1 !== null && beta2 !== null && type !== 'RMSprop' ? [beta1, beta2] : null,
    eps,
    momentum: type === 'SGD' ? momentum : null,
    nesterov: optimizer.name === 'nesterov' || null,
    weight_decay: weightDecay,
  });
  // Adam of DeepSpeed is AdamW unless told otherwise.
  if (type === 'Adam') params.adam_w_mode = false;
  const warmsUp = (warmup.steps ?? 0) > 0;
  const scheduler = {
    type: schedule.totalSteps === null ? 'WarmupLR' : 'WarmupDecayLR',
    params: compact({
      warmup_min_lr: warmup.fromFraction * learningRate.value,
      warmup_max_lr: learningRate.value,
      warmup_num_steps: warmup.steps,
      warmup_type: 'linear',
      total_num_steps: schedule.totalSteps,
    }),
  };
  return {
    filename: 'ds_config.json',
    notes: type === undefined ? [`DeepSpeed has no ${optimizer.name}: pass your own optimizer to deepspeed.initialize`] : [],
    content: json(
      compact({
        train_batch_size: batch.effective,
        train_micro_batch_size_per_gpu: batch.micro,
        gradient_accumulation_steps: batch.accumulation,
        gradient_clipping: setup.clipGradNorm,
        optimizer: type === undefined ? null : { type, params },
        scheduler: type !== undefined && warmsUp ? scheduler : null,
        bf16: usesBf16(setup) ? { enabled: true } : null,
        fp16: usesFp16(setup) ? { enabled: true } : null,
        zero_optimization: { stage: STAGES[setup.sharding] ?? 0 },
      }),
    ),
  };
};
