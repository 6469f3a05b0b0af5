import { describe, expect, it } from 'vitest';
import { Simulator } from '../../src/memory/simulator.js';
import { readHuggingFaceConfig } from '../../src/model/readers/hf/read.js';
import { DEFAULT_SETUP, type Setup } from '../../src/setup.js';

const config = {
  model_type: 'mixtral',
  architectures: ['MixtralForCausalLM'],
  hidden_size: 1024,
  intermediate_size: 1792,
  num_hidden_layers: 4,
  num_attention_heads: 16,
  num_key_value_heads: 4,
  num_local_experts: 4,
  vocab_size: 32000,
};

/** Peaks that PyTorch's own dispatcher had (torch 2.15, transformers 5.23), traced as the op-level truth is. */
describe('a mixture of experts', () => {
  it.each([
    ['fp32', { batch: 4, precision: 'fp32' }, 3672027648],
    ['autocast', { batch: 8, precision: 'amp-bf16' }, 5368517120],
    ['bf16, checkpointed', { batch: 4, precision: 'bf16', checkpointing: 'full' }, 1804915200],
    ['bf16, attention written out', { batch: 2, precision: 'bf16', optimizer: 'sgd', attention: 'math' }, 1183435264],
  ] as [string, Partial<Setup>, number][])('in %s', async (_, change, peak) => {
    const setup: Setup = { ...DEFAULT_SETUP, optimizerImplementation: 'foreach', zeroGradPosition: 'after-step', ...change };
    const graph = await readHuggingFaceConfig(
      config,
      { format: 'hf-config', reference: 'config.json' },
      { seq: 512, attention: setup.attention },
    );
    const simulator = new Simulator(graph, setup, { capability: 80, outOfPlaceSums: true });
    expect(Math.abs(simulator.tensorPeak(setup.batch).bytes - peak)).toBeLessThan(8192);
  });
});
