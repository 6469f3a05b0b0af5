import { describe, expect, it } from 'vitest';
import { traceStep } from '../../src/memory/step.js';
import { GraphBuilder } from '../../src/model/builder.js';
import type { ModelGraph } from '../../src/model/graph.js';
import { linear } from '../../src/model/ops/layers.js';
import { permute, reduce } from '../../src/model/ops/views.js';
import { DEFAULT_SETUP } from '../../src/setup.js';

/** A linear layer with a bias on an image, its channels innermost in memory or not. */
function layerOnImage(turned: boolean): ModelGraph {
  const g = new GraphBuilder('layer', { format: 'spec', reference: 'layer' });
  const image = g.input('image', turned ? ['B', 24, 10, 10] : ['B', 10, 10, 24], 'model', 'data');
  const rows = turned ? permute(g, image, [0, 2, 3, 1]) : image;
  const out = linear(g, rows, g.parameter('weight', [40, 24]), g.parameter('bias', [40]));
  return g.finish(reduce(g, 'aten.mean.dim', out, [0, 1, 2, 3], false), [out]);
}

describe('a linear layer with a bias', () => {
  // F.linear under FakeTensorMode, torch 2.15: view, addmm; or clone, mm, add.
  it.each([
    ['row-major', false, 1],
    ['turned', true, 2],
  ] as const)('on a %s input of four dimensions (turned: %s) makes %i results', (_, turned, results) => {
    const trace = traceStep(
      layerOnImage(turned),
      { ...DEFAULT_SETUP, batch: 3 },
      { capability: 80, outOfPlaceSums: true, accumulating: false },
    );
    const born = trace.forward.filter((event) => event >= 0 && trace.bytes[event] === 3 * 100 * 40 * 4);
    expect(born).toHaveLength(results);
  });
});

describe('an activation in place', () => {
  // derivatives.yaml of torch 2.15 has a form of its own for leaky_relu_, and none for hardtanh_ (relu6).
  it.each([
    ['aten.leaky_relu_', 1],
    ['aten.hardtanh_', 2],
    ['aten.relu6_', 2],
  ])('%s leaves %i tensors of its size', (op, tensors) => {
    const g = new GraphBuilder('layer', { format: 'spec', reference: 'layer' });
    const rows = g.input('rows', ['B', 24], 'model', 'data');
    const active = g.call(op, [linear(g, rows, g.parameter('weight', [40, 24]), null)], { shape: ['B', 40], dtype: 'model' });
    const trace = traceStep(
      g.finish(reduce(g, 'aten.mean.dim', active, [0, 1], false), [active]),
      { ...DEFAULT_SETUP, batch: 50 },
      { capability: 80, outOfPlaceSums: true, accumulating: false },
    );
    expect(trace.forward.filter((event) => event >= 0 && trace.bytes[event] === 50 * 40 * 4)).toHaveLength(tensors);
  });
});
