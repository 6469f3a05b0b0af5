import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type StepTrace, traceStep } from '../../src/memory/step.js';
import type { ModelGraph } from '../../src/model/graph.js';
import { trainedGraph } from '../../src/model/methods/trained.js';
import { readModel } from '../../src/model/open.js';
import { DEFAULT_SETUP, type Setup } from '../../src/setup.js';

const options = { capability: 80, outOfPlaceSums: false, accumulating: false };
const layers = 3;
const config = {
  model_type: 'llama',
  architectures: ['LlamaForCausalLM'],
  vocab_size: 1000,
  hidden_size: 512,
  intermediate_size: 1024,
  num_hidden_layers: layers,
  num_attention_heads: 8,
  num_key_value_heads: 4,
};
let llama: ModelGraph;
const trace = (setup: Partial<Setup>): StepTrace => traceStep(llama, { ...DEFAULT_SETUP, batch: 2, precision: 'bf16', ...setup }, options);
const permanentBytes = (t: StepTrace): number => t.bytes.slice(0, t.permanent).reduce((a, b) => a + b, 0);

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'batchfit-methods-'));
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  llama = await readModel(folder, { seq: 64 });
});

describe('LoRA', () => {
  it('trains the adapters of query and value by default, in float32', () => {
    const t = trace({ method: 'lora', loraRank: 4 });
    expect(t.trainableParameters).toBe(layers * 4 * (512 + 512 + 512 + 256));
    expect(t.trained.every(({ type }) => type === 'float32')).toBe(true);
  });

  it('takes every linear module but the head as all-linear', () => {
    const t = trace({ method: 'lora', loraRank: 4, loraTargets: ['all-linear'] });
    expect(t.trained).toHaveLength(layers * 7 * 2);
  });

  it('names the modules that there are where none matches', () => {
    expect(() => trace({ method: 'lora', loraTargets: ['nope'] })).toThrow(/no linear module named nope/);
  });

  it('leaves the graph of full training as it is', () => {
    expect(trainedGraph(llama, DEFAULT_SETUP)).toBe(llama);
  });
});

describe('QLoRA', () => {
  it('holds every linear weight but the head in four bits and its scales', () => {
    const full = trace({});
    const quantized = trace({ method: 'qlora', loraRank: 4 });
    const perLayer = 512 * (512 + 256 + 256 + 512) + 3 * 512 * 1024;
    expect(quantized.parameters - quantized.trainableParameters).toBe(full.parameters);
    const saved = permanentBytes(full) - permanentBytes(quantized) + 4 * quantized.trainableParameters;
    // Half a byte a value, and a byte for each 64 of them; the rest is code books.
    expect(saved / (layers * perLayer)).toBeGreaterThan(2 - 0.5 - 1 / 64 - 0.001);
    expect(saved / (layers * perLayer)).toBeLessThan(2 - 0.5 - 1 / 64);
  });

  it('keeps less for backward than full training, and trains the same adapters as LoRA', () => {
    const live = (t: StepTrace): number => {
      const ids = new Set<number>();
      for (const event of t.forward) event >= 0 ? ids.add(event) : ids.delete(-1 - event);
      return [...ids].reduce((sum, id) => sum + (t.bytes[id] as number), 0);
    };
    expect(live(trace({ method: 'qlora' }))).toBeLessThan(live(trace({})));
    expect(trace({ method: 'qlora', precision: 'amp-bf16' }).trainableParameters).toBe(trace({ method: 'lora' }).trainableParameters);
  });
});

describe('a frozen backbone', () => {
  it('trains the head alone', () => {
    expect(trace({ method: 'frozen-backbone' }).trainableParameters).toBe(512 * 1000);
  });
});
