import { describe, expect, it } from 'vitest';
import type { ModelGraph } from '../../src/model/graph.js';
import type { ModelOptions } from '../../src/model/options.js';
import { readHuggingFaceConfig } from '../../src/model/readers/hf/read.js';
import { checkGraph } from '../../src/model/validate.js';

const SMALL = {
  gpt2: { n_layer: 2, n_embd: 48, n_head: 4, vocab_size: 99 },
  llama: { num_hidden_layers: 2, hidden_size: 48, intermediate_size: 80, num_attention_heads: 4, vocab_size: 99 },
};

function read(config: Record<string, unknown>, options: ModelOptions = {}): Promise<ModelGraph> {
  return readHuggingFaceConfig(config, { format: 'hf-config', reference: 'config.json' }, options);
}

const operators = (graph: ModelGraph): string[] => graph.nodes.map(({ op }) => op);
const count = (graph: ModelGraph, op: string): number => operators(graph).filter((name) => name === op).length;

describe('a config', () => {
  it('may hold its model_type alone: the class fills in the rest', async () => {
    const graph = await read({ model_type: 'gpt2' });
    expect(graph.parameters.find(({ name }) => name === 'transformer.wte.weight')).toEqual({
      name: 'transformer.wte.weight',
      shape: [50257, 768],
      aliases: ['lm_head.weight'],
    });
    expect(graph.symbols.S).toEqual({ default: 1024, max: 1024 });
    expect(graph.checkpoints).toEqual(Array.from({ length: 12 }, (_, layer) => `transformer.h.${layer}`));
  });

  it('takes the other spelling of a field', async () => {
    const [short, long] = await Promise.all([
      read({ model_type: 'gpt2', ...SMALL.gpt2 }),
      read({ model_type: 'gpt2', num_hidden_layers: 2, hidden_size: 48, num_attention_heads: 4, vocab_size: 99 }),
    ]);
    expect(long.parameters).toEqual(short.parameters);
  });

  it.each([
    [{}, 'model_type: missing'],
    [{ model_type: 'gtp2' }, '"gtp2" is not supported yet'],
    [{ model_type: 'gpt2', n_layer: 'many' }, 'n_layer: expected a whole number from 1, found "many"'],
    [{ model_type: 'gpt2', hidden_size: -8 }, 'hidden_size: expected a whole number from 1, found -8'],
    [{ model_type: 'gpt2', n_embd: 50, n_head: 4 }, 'n_head: 4 does not divide n_embd 50'],
    [{ model_type: 'gpt2', resid_pdrop: 2 }, 'resid_pdrop: expected a probability'],
    [{ model_type: 'gpt2', activation_function: 'swoosh' }, 'activation_function: expected one of gelu'],
    [{ model_type: 'gpt2', architectures: 'GPT2LMHeadModel' }, 'architectures: expected a list'],
    [{ model_type: 'gpt2', architectures: ['GPT2Model'] }, 'GPT2Model has no head'],
    [{ model_type: 'bert', architectures: ['BertForConditionalGeneration'] }, 'the head seq2seq-lm is not supported for bert'],
    [{ model_type: 'llama', num_attention_heads: 6, num_key_value_heads: 4 }, 'num_key_value_heads: 4 does not divide'],
    [{ model_type: 'gpt_neo', num_layers: 3 }, 'attention_types: describes 24 layers'],
  ])('%o is refused: %s', async (config, message) => {
    await expect(read(config)).rejects.toMatchObject({ message: expect.stringContaining(message), exitCode: 2 });
  });

  it.each([
    [{ seq: 2000 }, '--seq: the sequence length of gpt2 is from 1 to 1024, found 2000'],
    [{ head: 'question-answering' }, '--head: expected one of causal-lm'],
    [{ head: 'masked-lm' }, 'the head masked-lm is not supported for gpt2'],
    [{ image: [224, 224] as [number, number] }, '--image: gpt2 reads text'],
    [{ classes: 3 }, '--classes: the head causal-lm has its vocabulary'],
  ])('with the options %o is refused: %s', async (options, message) => {
    await expect(read({ model_type: 'gpt2' }, options)).rejects.toMatchObject({ message: expect.stringContaining(message), exitCode: 2 });
  });
});

describe('rotary embeddings', () => {
  it('leave queries and keys in their variables until both are rotated', async () => {
    const { nodes, locals } = await read({ model_type: 'llama', ...SMALL.llama });
    const keys = nodes.filter(({ op }) => op === 'aten.scaled_dot_product_attention').map(({ args }) => String(args[1]));
    for (const key of keys) expect(locals?.filter(([, until]) => until === key)).toHaveLength(2);
  });
});

describe('the head', () => {
  it('is what architectures says, unless the caller says another', async () => {
    const config = {
      model_type: 'llama',
      ...SMALL.llama,
      architectures: ['LlamaForSequenceClassification'],
      id2label: { 0: 'a', 1: 'b', 2: 'c' },
    };
    const own = await read(config);
    expect(own.parameters.at(-1)).toEqual({ name: 'score.weight', shape: [3, 48] });
    expect(own.inputs.at(-1)).toEqual({ name: 'labels', shape: ['B'], dtype: 'int64', role: 'target', high: 3 });
    const other = await read(config, { head: 'causal-lm' });
    expect(other.parameters.at(-1)).toEqual({ name: 'lm_head.weight', shape: [99, 48] });
    const many = await read(config, { classes: 7 });
    expect(many.parameters.at(-1)?.shape).toEqual([7, 48]);
    const single = await read(config, { classes: 1 });
    expect(single.inputs.at(-1)).toEqual({ name: 'labels', shape: ['B'], dtype: 'model', role: 'target' });
    expect(operators(single).at(-1)).toBe('aten.mse_loss');
  });
});

describe('the release', () => {
  const config = (version: string | undefined, type = 'gpt2') => ({
    model_type: type,
    ...(type === 'gpt2' ? SMALL.gpt2 : SMALL.llama),
    ...(version ? { transformers_version: version } : {}),
  });

  it('decides whether attention is fused', async () => {
    for (const [version, fused] of [
      ['4.39.3', 0],
      ['4.42.0', 2],
      ['5.1.0', 2],
      [undefined, 2],
    ] as const) {
      expect(count(await read(config(version)), 'aten.scaled_dot_product_attention')).toBe(fused);
    }
    expect(count(await read(config(undefined), { attention: 'math' }), 'aten.scaled_dot_product_attention')).toBe(0);
    expect(count(await read(config('4.39.3'), { attention: 'efficient' }), 'aten.scaled_dot_product_attention')).toBe(2);
  });

  it('decides how the loss shifts', async () => {
    const tail = async (version: string | undefined, type?: string) => operators(await read(config(version, type))).slice(-7);
    expect(await tail('4.39.3')).toEqual([
      'aten.slice.Tensor',
      'aten.contiguous',
      'aten.slice.Tensor',
      'aten.contiguous',
      'aten.view',
      'aten.view',
      'aten.cross_entropy_loss',
    ]);
    expect((await tail('4.39.3', 'llama'))[0]).toBe('aten.slice.Tensor');
    expect(operators(await read(config('4.39.3', 'llama'))).slice(-8)[0]).toBe('aten.to.dtype');
    expect(await tail('4.49.0')).toEqual([
      'aten.to.dtype',
      'aten.pad',
      'aten.slice.Tensor',
      'aten.contiguous',
      'aten.view',
      'aten.view',
      'aten.cross_entropy_loss',
    ]);
  });

  it("has GPT-2's old attention: a mask buffer and two scalar tensors a layer", async () => {
    const graph = await read(config('4.39.3'), { seq: 16 });
    checkGraph(graph, 'gpt2');
    expect(graph.buffers.filter(({ name }) => name.endsWith('.bias'))).toEqual(
      [0, 1].map((layer) => ({ name: `transformer.h.${layer}.attn.bias`, shape: [1, 1, 1024, 1024], dtype: 'bool' })),
    );
    const first = graph.nodes.filter(({ module }) => module === 'transformer.h.0.attn').map(({ op }) => op);
    expect(first.slice(7, 16)).toEqual([
      'aten.transpose.int',
      'aten.matmul',
      'aten.full',
      'aten.div.Tensor',
      'aten.slice.Tensor',
      'aten.slice.Tensor',
      'aten.full',
      'aten.where.self',
      'aten.softmax.int',
    ]);
  });
});

describe('a sliding window', () => {
  const config = { model_type: 'mistral', ...SMALL.llama, num_key_value_heads: 2, sliding_window: 64 };

  it('has a mask from its size on, and the graph holds for that side', async () => {
    const short = await read(config, { seq: 63 });
    const long = await read(config, { seq: 64 });
    expect(count(short, 'aten.gt.Tensor')).toBe(0);
    expect(short.symbols.S).toEqual({ default: 63, max: 63 });
    expect(count(long, 'aten.gt.Tensor')).toBe(1);
    expect(long.symbols.S).toEqual({ default: 64, min: 64 });
  });

  it('of null is none', async () => {
    const graph = await read({ ...config, sliding_window: null }, { seq: 5000 });
    expect(graph.symbols.S).toEqual({ default: 5000 });
  });
});

it('a module that runs again has a number behind its name, its weights have not', async () => {
  const graph = await read({
    model_type: 'albert',
    hidden_size: 48,
    num_attention_heads: 4,
    intermediate_size: 80,
    num_hidden_layers: 3,
    vocab_size: 99,
  });
  const queries = graph.nodes.filter(({ module }) => module.endsWith('attention.query'));
  expect(queries.map(({ module }) => module)).toEqual(
    ['', '@1', '@2'].map((call) => `albert.encoder.albert_layer_groups.0${call}.albert_layers.0.attention.query`),
  );
  expect(new Set(queries.map(({ args }) => args[1]))).toEqual(
    new Set(['%albert.encoder.albert_layer_groups.0.albert_layers.0.attention.query.weight']),
  );
});
