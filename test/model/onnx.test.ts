import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { Estimator } from '../../src/memory/estimate.js';
import type { ModelGraph } from '../../src/model/graph.js';
import { readModel } from '../../src/model/open.js';
import { checkGraph } from '../../src/model/validate.js';
import { DEFAULT_SETUP } from '../../src/setup.js';
import { type TestModel, type TestNode, writeOnnx } from './onnx-writer.js';
import { parameterCount } from './reference.js';

const FIXTURES = fileURLToPath(new URL('./fixtures/onnx/', import.meta.url));
const cases: Record<string, { versions: string; parameters: number }> = JSON.parse(readFileSync(join(FIXTURES, 'cases.json'), 'utf8'));
const TARGET = { name: 'cpu', kind: 'cpu', count: 1, totalBytes: 2 ** 36, usableBytes: 2 ** 36, computeCapability: null } as any;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'batchfit-onnx-'));
});

function save(content: Buffer, name = 'model.onnx'): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const tensorBytes = (graph: ModelGraph, batch: number) => new Estimator(graph, DEFAULT_SETUP, TARGET).memory(batch).peak.tensorBytes;
const fixture = (name: string) => readModel(join(FIXTURES, `${name}.onnx.gz`));
const operators = (graph: ModelGraph) => graph.nodes.map(({ op }) => op.replace(/^aten\./, ''));

describe('has as many weights as PyTorch counts', () => {
  it.each(Object.entries(cases).filter(([name]) => !name.endsWith('-dynamo')))('%s', async (name, { parameters }) => {
    const graph = await fixture(name);
    checkGraph(graph, name);
    expect(parameterCount(graph)).toBe(parameters);
  });
});

describe('takes the memory of the model that was exported', () => {
  const shipped = Object.keys(cases).filter((name) => /^(resnet18|mobilenet_v2)(-fixed)?$/.test(name));
  it.each(shipped)('%s, within 1 %', async (name) => {
    const [onnx, torch] = [await fixture(name), await readModel(`torchvision:${name.replace(/-.*/, '')}`)];
    for (const batch of [1, 32]) expect(tensorBytes(onnx, batch) / tensorBytes(torch, batch)).toBeCloseTo(1, 2);
  });
});

describe('an export', () => {
  it('for training has its batch norms, one for inference is said to lack what was folded away', async () => {
    const [trained, folded] = [await fixture('resnet18'), await fixture('resnet18-dynamo')];
    expect(operators(trained).filter((op) => op === 'batch_norm')).toHaveLength(20);
    expect(operators(folded)).not.toContain('batch_norm');
    expect(trained.assumptions?.map(({ code }) => code)).toEqual(['ASSUMED_LOSS']);
    expect(folded.assumptions?.map(({ code }) => code)).toEqual(['ASSUMED_TRAINING', 'ASSUMED_LOSS']);
  });

  it('writes GELU and attention out, which are read as they were', async () => {
    const graph = await fixture('encoder');
    const fused = operators(graph).filter((op) => op === 'gelu' || op === 'scaled_dot_product_attention');
    expect(fused).toEqual(['scaled_dot_product_attention', 'gelu', 'scaled_dot_product_attention', 'gelu']);
    const written = await readModel(join(FIXTURES, 'encoder.onnx.gz'), { attention: 'math' });
    expect(operators(written).filter((op) => op === 'softmax.int')).toHaveLength(2);
    expect(graph.nodes.map(({ module }) => module)).toContain('encoder.layers.1.self_attn');
  });
});

/** A model of a few operators on an image or on features, with a linear layer behind them. */
const tiny = (nodes: TestNode[], last: string, change: Partial<TestModel> = {}): TestModel => ({
  nodes: [...nodes, { op: 'Gemm', inputs: [last, 'fc.weight', 'fc.bias'], output: 'y', attributes: { transB: 1 }, name: '/fc/Gemm' }],
  inputs: { x: ['batch', 3, 8, 8] },
  outputs: ['y'],
  ...change,
  initializers: { 'fc.weight': [5, 12], 'fc.bias': [5], ...change.initializers },
});

const conv = (attributes: TestNode['attributes'] = {}): TestNode => ({
  op: 'Conv',
  inputs: ['x', 'conv.weight'],
  output: 'c',
  attributes,
  name: '/block/block.0/conv/Conv',
});

describe('operators', () => {
  it('shapes are followed through Shape, Gather, Concat and Reshape', async () => {
    const nodes: TestNode[] = [
      conv({ auto_pad: 'SAME_UPPER', strides: [4, 4] }),
      { op: 'Shape', inputs: ['c'], output: 's' },
      { op: 'Gather', inputs: ['s', 'zero'], output: 'n' },
      { op: 'Concat', inputs: ['n', 'rest'], output: 'to', attributes: { axis: 0 } },
      { op: 'Reshape', inputs: ['c', 'to'], output: 'flat' },
    ];
    const initializers = { 'conv.weight': [3, 3, 3, 3], zero: { values: [0] }, rest: { values: [-1] } };
    const graph = await readModel(save(writeOnnx(tiny(nodes, 'flat', { initializers }))));
    expect(graph.parameters.map(({ name }) => name)).toEqual(['fc.weight', 'fc.bias', 'conv.weight']);
    expect(graph.nodes.find(({ op }) => op === 'aten.reshape')?.args[1]).toEqual(['=B', 12]);
    expect(graph.nodes[0]).toMatchObject({ op: 'aten.conv2d', module: 'block.0.conv' });
  });

  it('a batch that the export fixed is any batch', async () => {
    const nodes: TestNode[] = [conv({ strides: [4, 4], pads: [1, 1, 1, 1] }), { op: 'Reshape', inputs: ['c', 'to'], output: 'flat' }];
    const initializers = { 'conv.weight': [3, 3, 3, 3], to: { values: [7, 12] } };
    const graph = await readModel(save(writeOnnx(tiny(nodes, 'flat', { inputs: { x: [7, 3, 8, 8] }, initializers }))));
    expect(graph.inputs.map(({ shape }) => shape)).toEqual([['B', 3, 8, 8], ['B']]);
    expect(graph.nodes.find(({ op }) => op === 'aten.reshape')?.args[1]).toEqual(['=B', 12]);
  });

  it('a product with weights and its bias are one linear layer, embeddings and positions are weights', async () => {
    const graph = await readModel(
      save(
        writeOnnx({
          nodes: [
            { op: 'Gather', inputs: ['table', 'ids'], output: 'e' },
            { op: 'Add', inputs: ['e', 'positions'], output: 'p' },
            { op: 'MatMul', inputs: ['p', 'w'], output: 'm' },
            { op: 'Add', inputs: ['b', 'm'], output: 'y' },
          ],
          inputs: { ids: ['batch', 'length'] },
          integers: ['ids'],
          initializers: { table: [11, 4], positions: [1, 6, 4], w: [4, 11], b: [11] },
          outputs: ['y'],
        }),
      ),
      { seq: 6 },
    );
    expect(operators(graph)).toEqual(['embedding', 'add.Tensor', 'linear', 'reshape', 'reshape', 'cross_entropy_loss']);
    expect(parameterCount(graph)).toBe(44 + 24 + 44 + 11);
    expect(graph.inputs[0]).toMatchObject({ shape: ['B', 6], dtype: 'int64', high: 11 });
  });

  it('say what they take for granted', async () => {
    const graph = await readModel(save(writeOnnx(tiny([], 'x', { inputs: { x: ['n', 12] } }))));
    expect(graph.assumptions?.map(({ code }) => code)).toEqual(['ASSUMED_TRAINING', 'ASSUMED_LOSS']);
  });
});

describe('refuses', () => {
  const good = () => writeOnnx(tiny([], 'x', { inputs: { x: ['n', 12] } }));
  const refusals: [name: string, content: () => Buffer, options: object, code: string, message: string, hint: string][] = [
    [
      'a file that is cut short',
      () => good().subarray(0, 120),
      {},
      'BAD_MODEL',
      'not an ONNX file, or cut short: it ends after',
      'export the model again',
    ],
    ['text', () => Buffer.from('not a model at all'), {}, 'BAD_MODEL', 'not an ONNX file, or cut short', 'export the model again'],
    ['a message without a graph', () => Buffer.from([8, 8]), {}, 'BAD_MODEL', 'it holds no graph', 'export the model again'],
    [
      'an operator without a rule',
      () => writeOnnx(tiny([{ op: 'NonZero', inputs: ['x'], output: 'f', name: '/a/NonZero' }], 'f')),
      {},
      'UNSUPPORTED_MODEL',
      'node "/a/NonZero" (NonZero): the operator NonZero is not supported',
      'batchfit trace',
    ],
    [
      'a domain of others',
      () => writeOnnx(tiny([{ op: 'Magic', inputs: ['x'], output: 'f', domain: 'my.ops' }], 'f')),
      {},
      'UNSUPPORTED_MODEL',
      'of the domain my.ops: Magic',
      'batchfit trace',
    ],
    [
      'an open side',
      () => writeOnnx(tiny([{ op: 'GlobalAveragePool', inputs: ['x'], output: 'f' }], 'f', { inputs: { x: ['n', 12, 'h', 'w'] } })),
      {},
      'BAD_MODEL',
      'input "x": side 2 is open (it has the name "h")',
      '--image',
    ],
    ['an option without a use', good, { image: [8, 8] }, 'BAD_MODEL_OPTION', '--image: model has no input of images', 'leave --image out'],
    [
      'a name that nothing makes',
      () => writeOnnx(tiny([{ op: 'Relu', inputs: ['nothing'], output: 'f' }], 'f')),
      {},
      'BAD_MODEL',
      'reads "nothing"',
      '',
    ],
    [
      'a graph without weights',
      () => writeOnnx({ nodes: [{ op: 'Relu', inputs: ['x'], output: 'y' }], inputs: { x: ['n', 3] }, outputs: ['y'] }),
      {},
      'BAD_MODEL',
      'no weights to train',
      '',
    ],
  ];
  it.each(refusals)('%s', async (_, content, options, code, message, hint) => {
    const refusal = { code, exitCode: 2, message: expect.stringContaining(message), hint: expect.stringContaining(hint) };
    await expect(readModel(save(content()), options)).rejects.toMatchObject(refusal);
  });
});
