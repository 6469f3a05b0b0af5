import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { ExportInput, SettledPlan } from '../../src/output/exporters/exporter.js';
import { EXPORT_NAMES, EXPORTERS } from '../../src/output/exporters/index.js';
import { planTraining } from '../../src/plan/plan.js';
import type { PlanRequest } from '../../src/plan/training-plan.js';
import { DEFAULT_SETUP, OPTIMIZERS, type Optimizer, type Setup } from '../../src/setup.js';

const request: PlanRequest = {
  targetBatch: 1024,
  datasetSize: 10_240,
  epochs: 3,
  reference: { batch: 256, learningRate: 0.1 },
  noiseScale: null,
  goal: null,
  scaling: 'auto',
  momentum: null,
  dropLast: true,
  epochEnd: 'flush',
  mixedLengths: false,
  contrastive: false,
  micro: null,
  accumulation: null,
  pricePerHour: null,
};
const outlook = { maxBatch: { low: 64, best: 64, high: 64 }, at: () => ({}), needs: () => 1 };
function input(optimizer: Optimizer, setup: Partial<Setup> = {}): ExportInput {
  const plan = planTraining({
    device: { kind: 'cuda', name: 'x', usableBytes: 1e10 },
    host: null,
    model: {
      name: 'x',
      parameters: 1,
      trainableParameters: 1,
      task: null,
      batchNorm: false,
      contrastive: false,
      sequence: null,
      sampleBytes: null,
    },
    optimizer,
    replicas: setup.gpus ?? 1,
    memory: { single: outlook, accumulated: outlook },
    probed: null,
    curve: null,
    recipe: null,
    recipeNamed: false,
    fallback: null,
    remedies: () => [],
    request,
  });
  return {
    plan: plan as SettledPlan,
    setup: { ...DEFAULT_SETUP, optimizer, ...setup },
    model: { name: 'x', sequence: null },
    device: { kind: 'cuda' },
  };
}
const content = (name: keyof typeof EXPORTERS, optimizer: Optimizer, setup?: Partial<Setup>) =>
  EXPORTERS[name](input(optimizer, setup)).content;

describe('every exporter', () => {
  it.each(EXPORT_NAMES)('%s writes the micro batch, the accumulation and the rate of every optimizer that it has', (name) => {
    for (const optimizer of OPTIMIZERS) {
      const exported = EXPORTERS[name](input(optimizer));
      expect(exported.filename).toMatch(/\.(json|yaml|py|env)$/);
      expect(exported.content).toMatch(/\b64\b/);
      expect(exported.content).not.toMatch(/undefined|null|NaN|00000000/);
      if (exported.notes.some((note) => note.includes(`no ${optimizer}`))) continue;
      expect(exported.content).toMatch(/\b16\b/);
      expect(exported.content).toMatch(/0\.[24]/);
    }
  });
});

describe('names and values', () => {
  it('hf-trainer: per device, with momentum among the optimizer arguments', () => {
    expect(JSON.parse(content('hf-trainer', 'nesterov', { precision: 'amp-fp16', clipGradNorm: 1, checkpointing: 'full' }))).toMatchObject({
      per_device_train_batch_size: 64,
      gradient_accumulation_steps: 16,
      learning_rate: 0.4,
      optim: 'sgd',
      optim_args: 'momentum=0.9,nesterov=true',
      warmup_steps: 6,
      num_train_epochs: 3,
      max_grad_norm: 1,
      fp16: true,
      gradient_checkpointing: true,
      dataloader_drop_last: true,
    });
  });
  it('deepspeed: the three batch numbers agree', () => {
    const config = JSON.parse(content('deepspeed', 'adamw', { gpus: 4, sharding: 'zero2', precision: 'amp-bf16' }));
    expect(config.train_batch_size).toBe(config.train_micro_batch_size_per_gpu * config.gradient_accumulation_steps * 4);
    expect(config).toMatchObject({
      train_batch_size: 1024,
      optimizer: { type: 'AdamW', params: { lr: 0.2 } },
      zero_optimization: { stage: 2 },
      bf16: { enabled: true },
    });
    expect(JSON.parse(content('deepspeed', 'adam')).optimizer.params.adam_w_mode).toBe(false);
  });
  it('lightning: trainer and optimizer of LightningCLI', () => {
    expect(parse(content('lightning', 'momentum', { gpus: 2, precision: 'bf16' }))).toMatchObject({
      trainer: { accelerator: 'gpu', devices: 2, strategy: 'ddp', precision: 'bf16-true', accumulate_grad_batches: 8, max_epochs: 3 },
      optimizer: { class_path: 'torch.optim.SGD', init_args: { lr: 0.4, momentum: 0.9 } },
    });
  });
  it('accelerate: a configuration without keys that it refuses', () => {
    const allowed = [
      'compute_environment',
      'distributed_type',
      'mixed_precision',
      'num_machines',
      'num_processes',
      'machine_rank',
      'use_cpu',
      'debug',
      'main_training_function',
    ];
    const config = parse(content('accelerate', 'adamw', { gpus: 2 }));
    expect(Object.keys(config).sort()).toEqual(allowed.sort());
    expect(config).toMatchObject({ distributed_type: 'MULTI_GPU', num_processes: 2 });
    expect(content('accelerate', 'adamw', { gpus: 2 })).toContain('Accelerator(gradient_accumulation_steps=8)');
  });
  it('torchtune and axolotl: the keys of their recipes', () => {
    expect(parse(content('torchtune', 'adamw', { precision: 'bf16' }))).toMatchObject({
      batch_size: 64,
      gradient_accumulation_steps: 16,
      optimizer: { _component_: 'torch.optim.AdamW' },
      dtype: 'bf16',
      optimizer_in_bwd: false,
    });
    expect(parse(content('axolotl', 'adamw-8bit'))).toMatchObject({
      micro_batch_size: 64,
      gradient_accumulation_steps: 16,
      optimizer: 'adamw_bnb_8bit',
    });
  });
  it('keras: Python that accumulates and warms up', () => {
    const lines = content('keras', 'momentum', { precision: 'amp-bf16' });
    for (const part of [
      'set_global_policy("mixed_bfloat16")',
      'keras.optimizers.SGD(',
      'momentum=0.9,',
      'gradient_accumulation_steps=16,',
      'BATCH_SIZE = 64',
      'drop_remainder=True',
    ]) {
      expect(lines).toContain(part);
    }
  });
  it('env: variables that are not flags of batchfit', () => {
    const lines = content('env', 'adamw').trim().split('\n');
    expect(lines.every((line) => /^export [A-Z0-9_]+=\S+$/.test(line) && !line.includes('BATCHFIT'))).toBe(true);
    expect(lines).toContain('export EFFECTIVE_BATCH_SIZE=1024');
  });
  it('say what a program does not have', () => {
    expect(EXPORTERS.torchtune(input('lamb')).notes[0]).toBe('torchtune has no lamb: build it in your own code');
  });
});
