import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { resolveTarget } from '../../src/machine/target.js';
import { Estimator } from '../../src/memory/estimate.js';
import { withKeyValueCache } from '../../src/memory/key-value-cache.js';
import type { ModelGraph } from '../../src/model/graph.js';
import { readModel } from '../../src/model/open.js';
import { DEFAULT_SETUP } from '../../src/setup.js';

const folder = mkdtempSync(join(tmpdir(), 'batchfit-cache-'));

async function modelOf(config: object): Promise<ModelGraph> {
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  return readModel(folder, { seq: 64 });
}

const SMALL = { hidden_size: 64, num_hidden_layers: 3, num_attention_heads: 4, vocab_size: 100 };
const LLAMA = { ...SMALL, model_type: 'llama', architectures: ['LlamaForCausalLM'], intermediate_size: 128, num_key_value_heads: 2 };
const BERT = { ...SMALL, model_type: 'bert', architectures: ['BertForMaskedLM'], intermediate_size: 128 };
const GPT2 = { n_embd: 64, n_layer: 3, n_head: 4, vocab_size: 100, model_type: 'gpt2', architectures: ['GPT2LMHeadModel'] };

const cachedOf = (model: ModelGraph): string[] => withKeyValueCache(model).outputs.slice(model.outputs.length);

describe('the cache that a loop holds with the outputs', () => {
  it("has the rotated keys and the values of each of Llama's layers, before heads share them", async () => {
    const model = await modelOf(LLAMA);
    const makers = new Map(model.nodes.flatMap((node) => node.outputs.map((name) => [name, node.op])));
    const cached = cachedOf(model);
    expect(cached).toHaveLength(6);
    expect(new Set(cached.map((name) => makers.get(name)))).toEqual(new Set(['aten.add.Tensor', 'aten.view']));
  });

  it('is not there in encoders, in graphs that are not language models, and where the config turns it off', async () => {
    expect(cachedOf(await modelOf({ ...LLAMA, use_cache: false }))).toEqual([]);
    expect(cachedOf(await modelOf(BERT))).toEqual([]);
    expect(cachedOf(await readModel('resnet50'))).toEqual([]);
  });

  it('is held by the run alone: what PyTorch traces without a cache stays', async () => {
    const model = await modelOf({ ...LLAMA, hidden_size: 512, num_hidden_layers: 8 });
    const target = await resolveTarget({ device: 'rtx-3090' });
    const peakOf = (keepOutputs: boolean) =>
      new Estimator(model, { ...DEFAULT_SETUP, keepOutputs, optimizer: 'sgd' }, target).memory(64).peak;
    const [held, dropped] = [peakOf(true), peakOf(false)];
    expect(held.reservedBytes).toBeGreaterThan(dropped.reservedBytes);
    const without = new Estimator(
      { ...model, source: { ...model.source, format: 'torch-export' } },
      { ...DEFAULT_SETUP, keepOutputs: true, optimizer: 'sgd' },
      target,
    ).memory(64).peak;
    expect(held.tensorBytes).toBe(without.tensorBytes);
    expect(held.reservedBytes).toBeGreaterThan(without.reservedBytes);
  });
});

describe('transformers 4.48 to 4.55', () => {
  it('copy queries, keys and values before fused attention', async () => {
    const count = async (version: string) =>
      (await modelOf({ ...GPT2, transformers_version: version })).nodes.filter(({ op }) => op === 'aten.contiguous').length;
    expect((await count('4.49.0')) - (await count('4.57.0'))).toBe(9);
    expect(await count('4.55.4')).toBe(await count('4.49.0'));
    // One more: 4.48 shifts the logits by a copy.
    expect((await count('4.48.3')) - (await count('4.47.1'))).toBe(9);
    expect(await count('4.56.0')).toBe(await count('4.57.0'));
  });
});
