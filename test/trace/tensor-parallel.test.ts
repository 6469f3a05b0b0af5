import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type StepTrace, traceStep } from '../../src/memory/step.js';
import type { ModelGraph } from '../../src/model/graph.js';
import { readModel } from '../../src/model/open.js';
import { DEFAULT_SETUP, type Setup } from '../../src/setup.js';
import { splitGraph } from '../../src/trace/tensor-parallel.js';

const LLAMA = { model_type: 'llama', architectures: ['LlamaForCausalLM'], vocab_size: 1024 };
const SMALL = { ...LLAMA, hidden_size: 64, intermediate_size: 160, num_hidden_layers: 2, num_attention_heads: 8, num_key_value_heads: 4 };

function read(config: object, options: Parameters<typeof readModel>[1] = { seq: 32 }): Promise<ModelGraph> {
  const file = join(mkdtempSync(join(tmpdir(), 'batchfit-test-')), 'config.json');
  writeFileSync(file, JSON.stringify({ transformers_version: '4.50.0', ...config }));
  return readModel(file, options);
}

const trace = (model: ModelGraph, setup: Partial<Setup>): StepTrace =>
  traceStep(model, { ...DEFAULT_SETUP, batch: 2, ...setup }, { capability: 80, outOfPlaceSums: false, accumulating: false });
const activations = (t: StepTrace): number => t.bytes.reduce((sum, bytes, id) => sum + (t.categories[id] === 'activations' ? bytes : 0), 0);
const count = (graph: ModelGraph): number => graph.parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);

describe('a model split between devices', () => {
  it('leaves each device its part of every weight but the norms', async () => {
    const model = await read(SMALL);
    const norms = 5 * 64;
    for (const ways of [2, 4]) expect(count(splitGraph(model, ways))).toBe((count(model) - norms) / ways + norms);
    expect(splitGraph(model, 1)).toBe(model);
  }, 30_000);

  it('counts the whole model', async () => {
    const model = await read(SMALL);
    expect(trace(model, { gpus: 4, tensorParallel: 4 }).parameters).toBe(count(model));
  });

  it('pads a vocabulary that does not divide', async () => {
    const model = await read({ ...SMALL, vocab_size: 1001 });
    expect(splitGraph(model, 4).parameters.find(({ name }) => name === 'lm_head.weight')?.shape).toEqual([251, 64]);
  });

  it('splits adapters as the layers that they add to', async () => {
    const t = trace(await read(SMALL), { gpus: 2, tensorParallel: 2, method: 'lora', loraTargets: ['q_proj', 'o_proj'] });
    const shapes = t.graph.parameters.filter(({ name }) => name.includes('layers.0') && name.includes('lora')).map(({ shape }) => shape);
    // Columns: the second factor in parts; rows: the first.
    expect(shapes).toEqual([
      [8, 64],
      [32, 8],
      [8, 32],
      [64, 8],
    ]);
  });

  it('is refused by name where layers are not known or heads do not divide', async () => {
    const bert = { model_type: 'bert', architectures: ['BertForMaskedLM'], num_hidden_layers: 1 };
    const cases: [object, number, string][] = [
      [SMALL, 8, 'llama, model.layers.0.self_attn: 4 in 8 parts'],
      [bert, 2, 'bert has no layers that are known to be split'],
      [{ model_type: 'bloom', architectures: ['BloomForCausalLM'], n_layer: 1 }, 2, 'aten.baddbmm with a value that is whole'],
    ];
    for (const [config, ways, message] of cases) {
      const model = await read(config);
      expect(() => splitGraph(model, ways)).toThrow(message);
    }
  });

  /**
   * Korthikanti et al. 2022 (arXiv 2205.05198), equation 2: a layer's activations in 16 bits take s b h (10 + 24/t + 5 a s / (h t))
   * bytes on one of t devices. Small vectors (norms' statistics) are left out there.
   */
  it("keeps the activations of Megatron-LM's formula", async () => {
    const [h, a, s, b] = [1024, 16, 512, 2];
    const shape = { n_embd: h, n_head: a, n_positions: s, vocab_size: 1024, activation_function: 'gelu' };
    const config = { model_type: 'gpt2', architectures: ['GPT2LMHeadModel'], ...shape, transformers_version: '4.30.0' };
    const [two, three] = await Promise.all([2, 3].map((n_layer) => read({ ...config, n_layer }, { seq: s, attention: 'math' })));
    for (const t of [1, 2, 4, 8]) {
      const of = (model: ModelGraph | undefined): number =>
        activations(trace(model as ModelGraph, { batch: b, precision: 'fp16', attention: 'math', gpus: t, tensorParallel: t }));
      const expected = s * b * h * (10 + 24 / t + (5 * a * s) / (h * t));
      expect(Math.abs((of(three) - of(two)) / expected - 1), `${t} devices`).toBeLessThan(0.02);
    }
  });
});
