/** torchtune: the training part of a recipe's YAML. */
import { stringify } from 'yaml';
import type { Optimizer } from '../../setup.js';
import { compact, type Exporter, missingOptimizer } from './exporter.js';

const COMPONENTS: Partial<Record<Optimizer, string>> = {
  sgd: 'torch.optim.SGD',
  momentum: 'torch.optim.SGD',
  nesterov: 'torch.optim.SGD',
  adam: 'torch.optim.Adam',
  adamw: 'torch.optim.AdamW',
  'adamw-8bit': 'bitsandbytes.optim.AdamW8bit',
};

export const exportTorchtune: Exporter = ({ plan, setup }) => {
  const { batch, learningRate, optimizer, warmup, schedule } = plan;
  const component = COMPONENTS[optimizer.name];
  const notes = component === undefined ? [missingOptimizer('torchtune', optimizer.name)] : [];
  if (setup.precision.startsWith('amp')) notes.push('torchtune trains in one dtype and has no autocast: memory differs from the estimate');
  if (batch.accumulation > 1) notes.push('leave optimizer_in_bwd off: it does not go with gradient accumulation');
  const { momentum, beta1, beta2, weightDecay } = optimizer;
  return {
    filename: 'torchtune.yaml',
    notes,
    content: stringify(
      compact({
        batch_size: batch.micro,
        gradient_accumulation_steps: batch.accumulation,
        epochs: schedule.epochs === null ? null : Math.ceil(schedule.epochs),
        shuffle: true,
        optimizer:
          component === undefined
            ? null
            : compact({
                _component_: component,
                lr: learningRate.value,
                momentum: component.endsWith('SGD') ? momentum : null,
                nesterov: optimizer.name === 'nesterov' || null,
                betas: beta1 !== null && beta2 !== null ? [beta1, beta2] : null,
                weight_decay: weightDecay,
              }),
        lr_scheduler: compact({
          _component_: 'torchtune.training.lr_schedulers.get_cosine_schedule_with_warmup',
          num_warmup_steps: warmup.steps ?? 0,
        }),
        optimizer_in_bwd: batch.accumulation > 1 ? false : null,
        clip_grad_norm: setup.clipGradNorm,
        dtype: setup.precision === 'fp32' || setup.precision === 'tf32' ? 'fp32' : 'bf16',
        enable_activation_checkpointing: setup.checkpointing !== 'none',
      }),
    ),
  };
};
