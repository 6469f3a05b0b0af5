/** The same numbers in TensorFlow.js and in PyTorch: loss, every gradient, and the buffers that a step changes. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ModelGraph } from '../../../src/model/graph.js';
import { readModel } from '../../../src/model/open.js';
import type { LoadedEngine } from '../../../src/probe/engines/tfjs/load.js';
import { prepareTrainer } from '../../../src/probe/engines/tfjs/training.js';
import { FILTER, plain } from '../../../src/probe/engines/tfjs/value.js';
import { DEFAULT_SETUP } from '../../../src/setup.js';
import { loadNativeEngine } from './engine.js';
import { convolutions, layouts, masked, sizes, transformer } from './graphs.js';
import { type Case, type Numbers, type Reference, runInTorch } from './reference.js';

const CASES: { name: string; symbols: Case['symbols']; tolerance: number; graph?: ModelGraph }[] = [
  { name: 'convolutions', graph: convolutions, symbols: { B: 3 }, tolerance: 1e-4 },
  { name: 'sizes', graph: sizes, symbols: { B: 3 }, tolerance: 1e-4 },
  { name: 'layouts', graph: layouts, symbols: { B: 3 }, tolerance: 1e-4 },
  { name: 'transformer', graph: transformer, symbols: { B: 3, S: 7 }, tolerance: 1e-4 },
  { name: 'masked', graph: masked, symbols: { B: 3, S: 7 }, tolerance: 1e-4 },
  { name: 'digits-mlp', symbols: { B: 8 }, tolerance: 1e-4 },
  // Rounding grows through tens of batch norms over few samples.
  { name: 'digits-cnn', symbols: { B: 8, H: 8, W: 8 }, tolerance: 5e-3 },
  { name: 'resnet18', symbols: { B: 4, H: 64, W: 64 }, tolerance: 5e-3 },
  { name: 'mobilenet_v2', symbols: { B: 4, H: 64, W: 64 }, tolerance: 5e-3 },
  { name: 'efficientnet_b0', symbols: { B: 4, H: 64, W: 64 }, tolerance: 5e-3 },
  { name: 'convnext_tiny', symbols: { B: 2, H: 32, W: 32 }, tolerance: 5e-3 },
];

let engine: LoadedEngine;
const references = new Map<string, Case & Reference>();

beforeAll(async () => {
  engine = await loadNativeEngine();
  const cases = await Promise.all(
    CASES.map(async ({ name, symbols, graph }): Promise<Case> => {
      const { H, W } = symbols;
      return { symbols, graph: graph ?? withoutDropout(await readModel(name, H && W ? { image: [H, W] } : {})) };
    }),
  );
  const answers = runInTorch(cases);
  CASES.forEach(({ name }, at) => {
    references.set(name, { ...cases[at]!, ...answers[at]! });
  });
}, 180_000);
afterEach(() => engine.tf.disposeVariables());

/** Dropout is drawn at random on either side: off. */
function withoutDropout(graph: ModelGraph): ModelGraph {
  const nodes = graph.nodes.map((node) => (node.op.startsWith('aten.dropout') ? { ...node, args: [node.args[0] ?? null, 0, true] } : node));
  return { ...graph, nodes };
}

/**
 * Largest difference, as a share of the largest number of the expected array, or of `floor`: the gradient of a bias
 * before a norm is 0 but for rounding.
 */
function difference(found: ArrayLike<number>, expected: Numbers, floor = 1e-6): number {
  const { data } = expected;
  expect(found.length).toBe(data.length);
  let worst = 0;
  for (let at = 0; at < data.length; at++) {
    const gap = Math.abs((found[at] as number) - (data[at] as number));
    if (!(gap <= worst)) worst = gap;
  }
  return worst / Math.max(largest(data), floor);
}

function largest(data: Float32Array): number {
  let top = 0;
  for (let at = 0; at < data.length; at++) top = Math.max(top, Math.abs(data[at] as number));
  return top;
}

function compare(name: string, tolerance: number): void {
  const { tf } = engine;
  const { graph, symbols, ...reference } = references.get(name)!;
  const { B, ...sizes } = symbols;
  const trainer = prepareTrainer(tf, graph, { ...DEFAULT_SETUP, batch: B, optimizer: 'sgd' }, sizes, reference.given);
  const { value, grads } = trainer.gradients();
  expect(Math.abs((value.dataSync()[0] as number) / reference.loss - 1)).toBeLessThan(tolerance);
  expect(Object.keys(grads).sort()).toEqual(Object.keys(reference.gradients).sort());
  const floor = 1e-3 * Math.max(...Object.values(reference.gradients).map(({ data }) => largest(data)));
  for (const [name, expected] of Object.entries(reference.gradients)) {
    const order = trainer.state.values.get(name)?.order ?? [];
    const gradient = tf.tidy(() => plain(tf, { tensor: grads[name]!, order }));
    expect(difference(gradient.dataSync(), expected, floor), `gradient of ${name}`).toBeLessThan(tolerance);
  }
  for (const [name, expected] of Object.entries(reference.buffers)) {
    expect(difference(trainer.state.buffers.get(name)!.dataSync(), expected), `buffer ${name}`).toBeLessThan(tolerance);
  }
  const tensors = tf.memory().numTensors;
  tf.dispose(trainer.gradients() as never);
  expect(tf.memory().numTensors, 'tensors left by a pass').toBe(tensors);
  tf.dispose([value, grads] as never);
}

describe('TensorFlow.js and PyTorch agree on', () => {
  it.each(CASES)('$name', ({ name, tolerance }) => compare(name, tolerance), 120_000);
});

describe('the pure JavaScript backend agrees too on', () => {
  beforeAll(() => engine.tf.setBackend('cpu'));
  afterAll(() => engine.tf.setBackend('tensorflow'));
  it.each(CASES.filter(({ graph }) => graph))('$name', ({ name, tolerance }) => compare(name, tolerance), 120_000);
});

it('keeps filters as TensorFlow wants them', () => {
  const trainer = prepareTrainer(engine.tf, convolutions, { ...DEFAULT_SETUP, batch: 1, optimizer: 'sgd' }, {});
  expect(trainer.state.values.get('plain')?.order).toEqual(FILTER);
});
