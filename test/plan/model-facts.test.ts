import { describe, expect, it } from 'vitest';
import { readModel } from '../../src/model/open.js';
import { readModelFacts } from '../../src/plan/model-facts.js';

const factsOf = async (name: string, options = {}) => readModelFacts(await readModel(name, options));

describe('readModelFacts', () => {
  it.each([
    ['resnet50', { parameters: 25_557_032, task: 'image-classification', batchNorm: true, sequence: null, contrastive: false }],
    ['convnext_tiny', { task: 'image-classification', batchNorm: false, sequence: null }],
    ['vit_base_patch16_224', { task: 'image-classification', batchNorm: false, sequence: null }],
    ['digits-mlp', { batchNorm: false, sequence: null }],
    ['gpt2', { parameters: 124_439_808, task: 'language-model', batchNorm: false, sequence: 1024 }],
    ['llama-3.2-1b', { task: 'language-model', batchNorm: false }],
    ['bert-base', { task: 'masked-language-model', batchNorm: false }],
  ])('%s', async (name, expected) => {
    expect(await factsOf(name)).toMatchObject(expected);
  });
  it('follows the sizes that were asked for', async () => {
    expect((await factsOf('gpt2', { seq: 256 })).sequence).toBe(256);
    const [small, large] = await Promise.all([factsOf('resnet50', { image: [112, 112] }), factsOf('resnet50')]);
    expect(large.sampleBytes! - 8).toBe((small.sampleBytes! - 8) * 4);
  });
});
