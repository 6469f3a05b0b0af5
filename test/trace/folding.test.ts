import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ModelGraph } from '../../src/model/graph.js';
import { trainedGraph } from '../../src/model/methods/trained.js';
import { readModel } from '../../src/model/open.js';
import { DEFAULT_SETUP, type Setup } from '../../src/setup.js';
import { foldingOf } from '../../src/trace/folding.js';
import { KernelLog, Session, symbolsFor } from '../../src/trace/index.js';
import { programOf } from '../../src/trace/program.js';
import { placeHead, type Recording, record } from '../../src/trace/recording.js';
import { KEPT } from '../../src/trace/repeats.js';
import { unfold } from '../../src/trace/unfolding.js';

const DECODER = {
  model_type: 'llama',
  architectures: ['LlamaForCausalLM'],
  vocab_size: 1000,
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 11,
  num_attention_heads: 4,
  num_key_value_heads: 2,
};

async function decoder(changes: object = {}): Promise<ModelGraph> {
  const file = join(mkdtempSync(join(tmpdir(), 'batchfit-folding-')), 'config.json');
  writeFileSync(file, JSON.stringify({ ...DECODER, ...changes }));
  return readModel(file, { seq: 32 });
}

function sessionOf(setup: Setup, outOfPlaceSums: boolean): Session {
  const autocast = setup.precision === 'amp-bf16' ? 'bfloat16' : null;
  const selective = setup.checkpointing === 'selective';
  const s = new Session({ modelType: 'float32', autocast, attention: setup.attention, capability: 80, outOfPlaceSums, selective });
  s.log = new KernelLog(s);
  return s;
}

/** The recording of the whole graph as it is traced, and as it is laid out from the folded one. */
function both(model: ModelGraph, setup: Setup, options: { accumulating?: boolean; outOfPlaceSums?: boolean } = {}) {
  const { accumulating = false, outOfPlaceSums = false } = options;
  const graph = trainedGraph(model, setup);
  const folding = foldingOf(graph);
  if (!folding) throw new Error(`${graph.name} is not folded`);
  const symbols = symbolsFor(graph, setup.batch);
  const trace = (of: ModelGraph, layerOf: Int32Array | null): Recording =>
    record(sessionOf(setup, outOfPlaceSums), programOf(of), setup, { accumulating, symbols, layerOf });
  const s = sessionOf(setup, outOfPlaceSums);
  const { head, makeInputs } = placeHead(s, graph, setup, accumulating, symbols);
  const { bytes, category, maker } = s.tape;
  const whole = trace(graph, null);
  const laidOut = unfold(folding, trace(folding.graph, folding.layerOf), { head, bytes, categories: category, makers: maker, makeInputs });
  return [{ ...whole, forwardBlocks: [], backwardBlocks: [] }, laidOut].map(counted);
}

/** With its kernels in no order: each that differs, with how often it runs. */
function counted(recording: Recording | null) {
  const kernels = new Map<string, number>();
  for (const { times, ...kernel } of recording?.kernelLog ?? []) {
    const key = JSON.stringify(kernel);
    kernels.set(key, (kernels.get(key) ?? 0) + times);
  }
  return recording && { ...recording, kernelLog: kernels };
}

const SETUPS: [string, Partial<Setup>][] = [
  ['plain', {}],
  ['autocast, whose copies of weights all go at the end of forward', { precision: 'amp-bf16' }],
  ['every layer recomputed', { checkpointing: 'full', precision: 'amp-bf16' }],
  ['products kept, the rest recomputed', { checkpointing: 'selective' }],
  ['outputs kept, averaged weights beside them', { keepOutputs: true, ema: true }],
  ['adapters in frozen layers', { method: 'lora', loraTargets: ['q_proj', 'v_proj'] }],
];

describe('a folded trace, laid out', () => {
  it.each(SETUPS)('is the trace of a whole decoder: %s', async (_, changes) => {
    const setup = { ...DEFAULT_SETUP, batch: 3, ...changes };
    const model = await decoder();
    for (const options of [{}, { accumulating: true }, { outOfPlaceSums: true }]) {
      const [whole, laidOut] = both(model, setup, options);
      expect(laidOut).toEqual(whole);
    }
  });

  it.each(['timm:resnet101', 'timm:vit_base_patch16_224', 'timm:swin_base_patch4_window7_224', 'timm:convnext_base', 'bert-base', 'gpt2'])(
    'is the trace of %s',
    async (name) => {
      const model = await readModel(name);
      for (const [, changes] of SETUPS.slice(0, 3)) {
        const [whole, laidOut] = both(model, { ...DEFAULT_SETUP, batch: 2, ...changes });
        expect(laidOut).toEqual(whole);
      }
    },
  );

  it('is the trace of a decoder whose layers alternate', async () => {
    const model = await decoder({ model_type: 'gemma2', architectures: ['Gemma2ForCausalLM'], num_hidden_layers: 20, head_dim: 16 });
    expect(foldingOf(model)?.runs.map(({ layers }) => layers)).toEqual([9]);
    const [whole, laidOut] = both(model, { ...DEFAULT_SETUP, batch: 2, precision: 'amp-bf16' });
    expect(laidOut).toEqual(whole);
  });

  it('traces five layers of a run, however many there are', async () => {
    const [some, many] = [foldingOf(await decoder()), foldingOf(await decoder({ num_hidden_layers: 60 }))];
    expect(many?.graph.nodes).toHaveLength(some?.graph.nodes.length as number);
    expect(some?.runs.map(({ layers }) => layers)).toEqual([10]);
    expect(new Set(some?.layerOf).size).toBe(KEPT + 1);
  });
});

describe('a graph is not folded where', () => {
  const changed = (model: ModelGraph, change: (model: ModelGraph) => void): ModelGraph => {
    const copy = structuredClone(model);
    change(copy);
    return copy;
  };

  it('it has few layers', async () => {
    expect(foldingOf(await decoder({ num_hidden_layers: 6 }))).toBeNull();
  });

  it('a layer in the middle has a weight of another size', async () => {
    const model = changed(await decoder(), ({ parameters }) => {
      const weight = parameters.find(({ name }) => name === 'model.layers.5.mlp.up_proj.weight');
      if (weight) weight.shape = [97, 64];
    });
    expect(foldingOf(model)).toBeNull();
  });

  it('a layer in the middle has a node more', async () => {
    const model = changed(await decoder(), ({ nodes }) => {
      const at = nodes.findIndex(({ module }) => module === 'model.layers.5.mlp.up_proj');
      nodes.splice(at, 0, { ...(nodes[at] as ModelGraph['nodes'][number]), outputs: ['again'] });
    });
    expect(foldingOf(model)).toBeNull();
  });

  it('something behind the layers reads one of the middle', async () => {
    const model = changed(await decoder(), (graph) => {
      const inner = graph.nodes.find(({ module, op }) => module === 'model.layers.5' && op === 'aten.add.Tensor');
      const last = graph.nodes.findIndex(({ module }) => module === 'lm_head');
      graph.nodes.splice(last, 0, { op: 'aten.detach', args: [`%${inner?.outputs[0]}`], outputs: [''], module: '' });
    });
    expect(foldingOf(model)).toBeNull();
  });

  it('a variable holds a value until a layer of the middle, or one of the middle until the end', async () => {
    const model = await decoder();
    const inner = model.nodes.find(({ module }) => module === 'model.layers.5.mlp.up_proj')?.outputs[0] as string;
    const first = model.nodes[0]?.outputs[0] as string;
    const held: [string, string][] = [
      [first, `%${inner}`],
      [first, 'model.layers.5'],
      [inner, ''],
    ];
    for (const local of held) expect(foldingOf({ ...model, locals: [...(model.locals ?? []), local] })).toBeNull();
  });
});
