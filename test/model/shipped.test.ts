import { readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { estimateMemory } from '../../src/memory/estimate.js';
import type { Argument, ModelGraph } from '../../src/model/graph.js';
import { listShippedModels, readModel } from '../../src/model/open.js';
import { findShipped } from '../../src/model/shipped.js';
import { checkGraph } from '../../src/model/validate.js';
import { DEFAULT_SETUP } from '../../src/setup.js';
import { parameterCount } from './reference.js';

const FIXTURES = new URL('./fixtures/graphs/', import.meta.url);
const shipped = await listShippedModels();

/** The graph with its values numbered: what packing may not change. */
function numbered(graph: ModelGraph): unknown {
  const numbers = new Map(graph.nodes.flatMap(({ outputs }) => outputs.filter(Boolean)).map((name, index) => [name, `#${index}`]));
  const number = (argument: Argument): Argument => {
    if (Array.isArray(argument)) return argument.map(number);
    return typeof argument === 'string' && argument.startsWith('%') ? `%${numbers.get(argument.slice(1)) ?? argument.slice(1)}` : argument;
  };
  const nodes = graph.nodes.map(({ args, kwargs = {}, outputs, ...rest }) => ({
    ...rest,
    args: args.map(number),
    kwargs: Object.fromEntries(Object.entries(kwargs).map(([key, value]) => [key, number(value)])),
    outputs: outputs.map((name) => numbers.get(name) ?? ''),
  }));
  const outputs = graph.outputs.map((name) => numbers.get(name) ?? name);
  return { ...graph, nodes, loss: numbers.get(graph.loss), outputs };
}

describe('shipped graphs', () => {
  it('are many, of timm and torchvision', () => {
    expect(shipped.filter(({ reference }) => reference.startsWith('timm:')).length).toBeGreaterThan(1500);
    expect(shipped.some(({ reference }) => reference === 'torchvision:mobilenet_v2')).toBe(true);
  });

  it('all unpack to sound graphs that have the parameters and the input of the table', async () => {
    for (const { reference, parameters, input, freeSize } of shipped) {
      const graph = await readModel(reference);
      checkGraph(graph, reference);
      expect([reference, parameterCount(graph)]).toEqual([reference, parameters]);
      expect(graph.source.reference).toBe(reference);
      expect(graph.source.versions).toEqual([expect.stringMatching(/^(timm|torchvision) \d/), expect.stringMatching(/^torch \d/)]);
      const shape = graph.inputs.find(({ role }) => role === 'data')?.shape.slice(1);
      const { H, W } = graph.symbols;
      expect(shape?.map((size) => (size === 'H' ? H?.default : size === 'W' ? W?.default : size)).join('x')).toBe(input);
      expect([reference, H !== undefined]).toEqual([reference, freeSize]);
    }
  }, 120_000);

  /** Exports of the real modules as scripts/export_graphs.py wrote them, by the releases that they name. */
  it.each(readdirSync(FIXTURES))('say what %s says', async (file) => {
    const exported: ModelGraph = JSON.parse(gunzipSync(readFileSync(new URL(file, FIXTURES))).toString('utf8'));
    expect(numbered(await readModel(exported.source.reference))).toEqual(numbered(exported));
  });

  it.each([
    ['timm', 'resnet18'],
    ['timm', 'resnet50'],
    ['timm', 'convnext_tiny'],
    ['timm', 'vit_base_patch16_224'],
    ['timm', 'efficientnet_b0'],
    ['torchvision', 'vgg16'],
    ['torchvision', 'mobilenet_v2'],
  ])('%s:%s takes what the profile takes', async (library, name) => {
    const target = {
      name: 'a100-80gb',
      kind: 'cuda',
      count: 1,
      totalBytes: 80 * 2 ** 30,
      usableBytes: 79 * 2 ** 30,
      computeCapability: '8.0',
      multiprocessors: 108,
      profile: null,
      source: 'assumed',
    } as const;
    const setup = { ...DEFAULT_SETUP, batch: 16 };
    const [graph, profile] = await Promise.all([readModel(`${library}:${name}`), readModel(name)]);
    const [a, b] = [estimateMemory(graph, setup, target), estimateMemory(profile, setup, target)];
    expect(a.parameters).toBe(b.parameters);
    expect(Math.abs(a.memory.peak.tensorBytes / b.memory.peak.tensorBytes - 1)).toBeLessThan(0.01);
  });
});

describe('options of a shipped graph', () => {
  it('set image size and classes where the graph is free in them', async () => {
    const graph = await readModel('timm:resnet50', { image: [160, 192], classes: 10 });
    expect(graph.symbols).toMatchObject({ H: { default: 160 }, W: { default: 192 } });
    expect(graph.parameters.find(({ name }) => name === 'fc.weight')?.shape).toEqual([10, 2048]);
    await expect(readModel('timm:vit_base_patch16_224', { image: [224, 224], classes: 10 })).resolves.toBeDefined();
  });

  it.each([
    ['timm:crossvit_15_240', ['head.0.weight', 'head.0.bias', 'head.1.weight', 'head.1.bias']],
    ['timm:levit_256', ['head.linear.weight', 'head.linear.bias', 'head_dist.linear.weight', 'head_dist.linear.bias']],
    ['torchvision:googlenet', ['aux1.fc2.weight', 'aux1.fc2.bias', 'aux2.fc2.weight', 'aux2.fc2.bias', 'fc.weight', 'fc.bias']],
    ['torchvision:s3d', ['classifier.1.weight', 'classifier.1.bias']],
  ])('set the classes of every head of %s', async (reference, heads) => {
    const { parameters } = await readModel(reference, { classes: 7 });
    expect(parameters.filter(({ shape }) => shape[0] === 7).map(({ name }) => name)).toEqual(heads);
  });

  it('leave a model without a classifier alone', async () => {
    await expect(readModel('timm:eva02_tiny_patch14_224', { classes: 7 })).rejects.toMatchObject({
      code: 'BAD_MODEL_OPTION',
      message: expect.stringContaining('it ends in aten.layer_norm'),
    });
  });

  it('name the built-in size and the export of another one', async () => {
    await expect(readModel('timm:vit_base_patch16_224', { image: [384, 384] })).rejects.toMatchObject({
      code: 'BAD_MODEL_OPTION',
      hint: 'its size is 224x224; with PyTorch it may be exported so: batchfit trace timm:vit_base_patch16_224 --image 384x384 -o vit_base_patch16_224.graph.json',
    });
  });

  it('offer no export for what no export takes', async () => {
    const hint = (options: object) => readModel('timm:resnet50', options).catch((error) => error.hint);
    expect(await hint({ classes: 0 })).not.toContain('trace');
    expect(await hint({ seq: 5 })).not.toContain('trace');
  });
});

describe('names without a graph', () => {
  it('that are mistyped or have a tag get the nearest', async () => {
    await expect(readModel('timm:resnet5O')).rejects.toMatchObject({
      code: 'UNKNOWN_MODEL',
      hint: expect.stringContaining('did you mean timm:resnet50,'),
    });
    await expect(readModel('timm:resnet50.a1_in1k')).rejects.toMatchObject({
      hint: expect.stringContaining('did you mean timm:resnet50?'),
    });
    await expect(readModel('timm:')).rejects.toMatchObject({ code: 'UNKNOWN_MODEL', exitCode: 2 });
    await expect(readModel('wide_resnet50_2')).rejects.toMatchObject({ hint: expect.stringContaining('timm:wide_resnet50_2') });
  });

  it('that have none say why', async () => {
    await expect(readModel('torchvision:quantized_resnet50')).rejects.toMatchObject({
      code: 'UNSUPPORTED_MODEL',
      message: expect.stringContaining('quantized models are not trained'),
    });
  });

  it('that PyTorch can export are sent there', () => {
    expect(() => findShipped('name\n\ntimm:new\t\n', 'timm:new')).toThrow(
      expect.objectContaining({ code: 'NEEDS_EXPORT', exitCode: 3, hint: 'run: batchfit trace timm:new -o new.graph.json' }),
    );
  });
});

it('search finds a part of the reference in any case', async () => {
  const found = await listShippedModels('ResNet50');
  expect(found.length).toBeGreaterThan(0);
  expect(found.every(({ reference }) => reference.includes('resnet50'))).toBe(true);
});
