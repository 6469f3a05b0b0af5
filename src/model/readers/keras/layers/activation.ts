/** Activation layers, and those that draw random numbers: dropout in its kinds, noise. */
import type { GraphBuilder, Value } from '../../../builder.js';
import { size } from '../../../builder.js';
import type { Size } from '../../../graph.js';
import { add, softmax as applySoftmax, binary, dropout as drop, mul, unary } from '../../../ops/elementwise.js';
import { activate, activateField, noteLogits } from '../activations.js';
import { unsupportedLayer } from '../fields.js';
import { known, type Layer, only } from '../layer.js';
import { dataFormat } from '../layout.js';

const named =
  (name: string): Layer =>
  (call) =>
    activate(call.g, only(call), name, call.place);

const relu: Layer = (call) => {
  const { g, fields, place } = call;
  const x = only(call);
  const slope = fields.number('negative_slope', 0);
  if (fields.number('threshold', 0) !== 0) throw unsupportedLayer(place, 'threshold: only 0 is supported');
  const limited = fields.has('max_value');
  if (slope !== 0 && limited) throw unsupportedLayer(place, 'negative_slope with max_value is not supported');
  if (slope !== 0) return unary(g, 'aten.leaky_relu', x, [slope]);
  return limited ? unary(g, 'aten.hardtanh', x, [0, fields.number('max_value')]) : unary(g, 'aten.relu', x);
};

/** Keras 2 says "alpha", Keras 3 "negative_slope". */
const leaky: Layer = (call) =>
  unary(call.g, 'aten.leaky_relu', only(call), [call.fields.number('negative_slope', call.fields.number('alpha', 0.3))]);

/** relu(x) - alpha * relu(-x), with a slope for each element of a sample but along `shared_axes`. */
const parametric: Layer = (call) => {
  const { g, fields, place } = call;
  const x = only(call);
  const shared = fields.has('shared_axes') ? fields.list('shared_axes') : [];
  const shape = x.shape.slice(1).map((extent, index) => (shared.includes(index + 1) ? 1 : known(extent, place)));
  const alpha = call.weight('alpha', shape);
  const negative = unary(g, 'aten.relu', unary(g, 'aten.neg', x));
  return add(g, unary(g, 'aten.relu', x), mul(g, unary(g, 'aten.neg', alpha), negative));
};

const softmax: Layer = (call) => {
  const x = only(call);
  const [axis = -1] = call.fields.list('axis', [-1]);
  const result = applySoftmax(call.g, x, axis);
  return axis === -1 || axis === x.shape.length - 1 ? noteLogits(result, 'softmax', x) : result;
};

/** A mask of the given shape, scaled so that the mean stays: x * bernoulli(1 - rate) / (1 - rate). */
export function dropParts(g: GraphBuilder, x: Value, shape: readonly Size[], rate: number): Value {
  const mask = { shape, dtype: x.dtype };
  const empty = g.call('aten.new_empty', [x, shape.map(size)], mask);
  const kept = g.call('aten.bernoulli_.float', [empty, 1 - rate], mask);
  return mul(g, x, binary(g, 'aten.div_.Scalar', kept, 1 - rate));
}

const dropout: Layer = (call) => {
  const { g, fields } = call;
  const x = only(call);
  const rate = fields.number('rate');
  if (rate === 0) return x;
  const noise = fields.raw('noise_shape');
  if (!Array.isArray(noise)) return drop(g, x, rate);
  return dropParts(
    g,
    x,
    x.shape.map((extent, index) => (noise[index] === 1 ? 1 : extent)),
    rate,
  );
};

/** Drops whole channels. */
const spatialDropout: Layer = (call) => {
  const x = only(call);
  const channels = dataFormat(call.fields) === 'channels_last' ? x.shape.length - 1 : 1;
  const rate = call.fields.number('rate');
  const shape = x.shape.map((extent, index) => (index === 0 || index === channels ? extent : 1));
  return rate === 0 ? x : dropParts(call.g, x, shape, rate);
};

/** Drops whole samples (keras/src/applications/convnext.py). */
const stochasticDepth: Layer = (call) => {
  const x = only(call);
  const rate = call.fields.number('drop_path_rate', 0);
  return rate === 0 ? x : dropParts(call.g, x, [x.shape[0] as Size, ...x.shape.slice(1).map(() => 1)], rate);
};

const noise =
  (combine: (g: GraphBuilder, x: Value, noise: Value) => Value): Layer =>
  (call) => {
    const x = only(call);
    return combine(call.g, x, call.g.call('aten.randn_like', [x], x));
  };

/** What does nothing while it trains, or nothing to sizes. */
const identity: Layer = (call) => only(call);

export const ACTIVATION_LAYERS: Record<string, Layer> = {
  Activation: (call) => activateField(call.g, only(call), call.fields),
  ReLU: relu,
  LeakyReLU: leaky,
  PReLU: parametric,
  ELU: (call) => unary(call.g, 'aten.elu', only(call), [call.fields.number('alpha', 1)]),
  ThresholdedReLU: (call) => unary(call.g, 'aten.threshold', only(call), [call.fields.number('theta', 1), 0]),
  Softmax: softmax,
  Dropout: dropout,
  FixedDropout: dropout,
  SpatialDropout1D: spatialDropout,
  SpatialDropout2D: spatialDropout,
  SpatialDropout3D: spatialDropout,
  StochasticDepth: stochasticDepth,
  GaussianDropout: noise((g, x, values) => mul(g, x, add(g, values, 1))),
  GaussianNoise: noise((g, x, values) => add(g, x, values)),
  ActivityRegularization: identity,
  Identity: identity,
  Masking: identity,
  HardSilu: named('hard_silu'),
};
