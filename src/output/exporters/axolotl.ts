/** Axolotl: the training part of its YAML. Its optimizers are the Trainer's. */
import { stringify } from 'yaml';
import { compact, type Exporter, missingOptimizer, usesBf16, usesFp16 } from './exporter.js';
import { HF_OPTIMIZERS } from './hf-trainer.js';

export const exportAxolotl: Exporter = ({ plan, setup, model }) => {
  const { batch, learningRate, optimizer, warmup, schedule, loader } = plan;
  const optim = HF_OPTIMIZERS[optimizer.name];
  return {
    filename: 'axolotl.yaml',
    notes: optim === undefined ? [missingOptimizer('Axolotl', optimizer.name)] : [],
    content: stringify(
      compact({
        micro_batch_size: batch.micro,
        gradient_accumulation_steps: batch.accumulation,
        learning_rate: learningRate.value,
        optimizer: optim,
        weight_decay: optimizer.weightDecay,
        adam_beta1: optimizer.beta1,
        adam_beta2: optimizer.beta2,
        adam_epsilon: optimizer.eps,
        warmup_steps: warmup.steps,
        num_epochs: schedule.epochs,
        max_grad_norm: setup.clipGradNorm,
        sequence_len: model.sequence,
        bf16: usesBf16(setup),
        fp16: usesFp16(setup),
        tf32: setup.precision === 'tf32',
        gradient_checkpointing: setup.checkpointing !== 'none',
        dataloader_num_workers: loader.workers,
        dataloader_prefetch_factor: loader.workers > 0 ? loader.prefetch : null,
        dataloader_pin_memory: loader.pinMemory,
        dataloader_drop_last: schedule.dropLast,
      }),
    ),
  };
};
