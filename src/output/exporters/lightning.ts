/** Lightning: the YAML of LightningCLI, with the batch size in a comment because data modules name it as they like. */
import { stringify } from 'yaml';
import type { Optimizer } from '../../setup.js';
import { compact, type Exporter, missingOptimizer, tidy } from './exporter.js';

const CLASSES: Partial<Record<Optimizer, string>> = {
  sgd: 'torch.optim.SGD',
  momentum: 'torch.optim.SGD',
  nesterov: 'torch.optim.SGD',
  adam: 'torch.optim.Adam',
  adamw: 'torch.optim.AdamW',
  adagrad: 'torch.optim.Adagrad',
  rmsprop: 'torch.optim.RMSprop',
  adafactor: 'torch.optim.Adafactor',
  muon: 'torch.optim.Muon',
  lamb: 'timm.optim.Lamb',
  lars: 'timm.optim.Lars',
  lion: 'timm.optim.Lion',
  'adamw-8bit': 'bitsandbytes.optim.AdamW8bit',
};
const PRECISIONS: Record<string, string> = { 'amp-fp16': '16-mixed', 'amp-bf16': 'bf16-mixed', bf16: 'bf16-true', fp16: '16-true' };
const STRATEGIES: Record<string, string> = {
  ddp: 'ddp',
  fsdp: 'fsdp',
  zero1: 'deepspeed_stage_1',
  zero2: 'deepspeed_stage_2',
  zero3: 'deepspeed_stage_3',
};

export const exportLightning: Exporter = ({ plan, setup, device }) => {
  const { batch, learningRate, optimizer, warmup, schedule, loader } = plan;
  const name = CLASSES[optimizer.name];
  const { beta1, beta2, momentum, eps, weightDecay } = optimizer;
  const adam = beta1 !== null && beta2 !== null;
  const config = {
    trainer: compact({
      accelerator: { cuda: 'gpu', rocm: 'gpu' }[device.kind] ?? device.kind,
      devices: setup.gpus,
      strategy: setup.gpus > 1 ? STRATEGIES[setup.sharding] : null,
      precision: PRECISIONS[setup.precision] ?? '32-true',
      accumulate_grad_batches: batch.accumulation,
      gradient_clip_val: setup.clipGradNorm,
      max_epochs: schedule.epochs,
    }),
    ...(name === undefined
      ? {}
      : {
          optimizer: {
            class_path: name,
            init_args: compact({
              lr: learningRate.value,
              momentum: name.endsWith('SGD') || name.endsWith('Lars') || name.endsWith('Muon') ? momentum : null,
              nesterov: optimizer.name === 'nesterov' || null,
              betas: adam ? [beta1, beta2] : null,
              eps: adam ? eps : null,
              weight_decay: weightDecay,
            }),
          },
        }),
  };
  const comments = [
    `# batch_size ${batch.micro}, num_workers ${loader.workers}, shuffle, drop_last ${schedule.dropLast}: in your data module`,
    `# warm up from ${tidy(warmup.fromFraction * learningRate.value)} over ${warmup.steps ?? `${warmup.epochs} epochs of`} steps: in configure_optimizers`,
  ];
  return {
    filename: 'lightning.yaml',
    content: `${comments.join('\n')}\n${stringify(config)}`,
    notes: name === undefined ? [missingOptimizer('Lightning', optimizer.name)] : [],
  };
};
