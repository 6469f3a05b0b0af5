/** Layers that combine several tensors. */
import type { GraphBuilder, Value } from '../../../builder.js';
import { add, binary, div, mul, sub } from '../../../ops/elementwise.js';
import { matmul } from '../../../ops/layers.js';
import { squeeze, transpose, unsqueeze } from '../../../ops/views.js';
import { layerError, unsupportedLayer } from '../fields.js';
import { axisOf, type Layer, type LayerCall } from '../layer.js';

type Combine = (g: GraphBuilder, a: Value, b: Value) => Value;

function several({ inputs, place }: LayerCall): [Value, ...Value[]] {
  const [first, ...others] = inputs;
  if (!first || others.length === 0) throw layerError(place, `expected two inputs or more, found ${inputs.length}`);
  return [first, ...others];
}

const merge =
  (combine: Combine): Layer =>
  (call) => {
    const [first, ...others] = several(call);
    return others.reduce((sum, each) => combine(call.g, sum, each), first);
  };

const average: Layer = (call) => {
  const [first, ...others] = several(call);
  const total = others.reduce((sum, each) => add(call.g, sum, each), first);
  return div(call.g, total, others.length + 1);
};

const extremum =
  (op: string): Combine =>
  (g, a, b) =>
    binary(g, op, a, b);

/** Products along one axis of each: matrices are turned so that these meet. */
const dot: Layer = (call) => {
  const { g, fields, place } = call;
  const [a, b] = several(call) as [Value, Value];
  if (fields.raw('normalize') === true) throw unsupportedLayer(place, 'normalize is not supported');
  const axes = fields.list('axes');
  const [left, right] = [axisOf(axes[0] ?? -1, a, place), axisOf(axes[1] ?? axes[0] ?? -1, b, place)];
  if (a.shape.length === 2 && b.shape.length === 2) return squeeze(g, matmul(g, unsqueeze(g, a, 1), unsqueeze(g, b, 2)), 2);
  if (a.shape.length !== 3 || b.shape.length !== 3) throw unsupportedLayer(place, 'only two vectors or two matrices are supported');
  return matmul(g, left === 2 ? a : transpose(g, a, 1, 2), right === 1 ? b : transpose(g, b, 1, 2));
};

/** x + scale * residual (keras/src/applications/inception_resnet_v2.py). */
const customScale: Layer = (call) => {
  const [x, residual] = several(call) as [Value, Value];
  return add(call.g, x, mul(call.g, residual, call.fields.number('scale')));
};

export const MERGE_LAYERS: Record<string, Layer> = {
  Add: merge(add),
  Subtract: merge(sub),
  Multiply: merge(mul),
  Average: average,
  Maximum: merge(extremum('aten.maximum')),
  Minimum: merge(extremum('aten.minimum')),
  Dot: dot,
  CustomScaleLayer: customScale,
};
