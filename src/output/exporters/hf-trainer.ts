/** Hugging Face Trainer: the JSON that HfArgumentParser.parse_json_file reads into TrainingArguments (names of transformers 5). */
import type { Optimizer } from '../../setup.js';
import { compact, type Exporter, json, missingOptimizer, usesBf16, usesFp16 } from './exporter.js';

/** `optim` and the `optim_args` that the Trainer gives on. */
export const HF_OPTIMIZERS: Partial<Record<Optimizer, string>> = {
  sgd: 'sgd',
  momentum: 'sgd',
  nesterov: 'sgd',
  adam: 'adamw_torch',
  adamw: 'adamw_torch',
  'adamw-8bit': 'adamw_bnb_8bit',
  adagrad: 'adagrad',
  rmsprop: 'rmsprop',
  adafactor: 'adafactor',
  lion: 'lion_32bit',
};

export const exportHfTrainer: Exporter = ({ plan, setup }) => {
  const { batch, learningRate, optimizer, warmup, schedule, loader } = plan;
  const optim = HF_OPTIMIZERS[optimizer.name];
  const notes = optim === undefined ? [missingOptimizer('the Trainer', optimizer.name)] : [];
  if (optimizer.name === 'adam') notes.push('the Trainer has AdamW only: with weight_decay 0 it is Adam');
  if (batch.replicas > 1) notes.push(`start ${batch.replicas} processes: torchrun --nproc_per_node ${batch.replicas}`);
  const momentum =
    optim === 'sgd' && optimizer.momentum ? `momentum=${optimizer.momentum}${optimizer.name === 'nesterov' ? ',nesterov=true' : ''}` : null;
  const betas = optim?.startsWith('adam') || optim?.startsWith('lion');
  return {
    filename: 'training_args.json',
    notes,
    content: json(
      compact({
        per_device_train_batch_size: batch.micro,
        gradient_accumulation_steps: batch.accumulation,
        learning_rate: learningRate.value,
        optim,
        optim_args: momentum,
        weight_decay: optimizer.weightDecay,
        adam_beta1: betas ? optimizer.beta1 : null,
        adam_beta2: betas ? optimizer.beta2 : null,
        adam_epsilon: betas ? optimizer.eps : null,
        warmup_steps: warmup.steps,
        num_train_epochs: schedule.epochs,
        max_grad_norm: setup.clipGradNorm,
        bf16: usesBf16(setup) || null,
        fp16: usesFp16(setup) || null,
        tf32: setup.precision === 'tf32' || null,
        gradient_checkpointing: setup.checkpointing !== 'none' || null,
        dataloader_drop_last: schedule.dropLast,
        dataloader_num_workers: loader.workers,
        dataloader_prefetch_factor: loader.workers > 0 ? loader.prefetch : null,
        dataloader_pin_memory: loader.pinMemory,
      }),
    ),
  };
};
