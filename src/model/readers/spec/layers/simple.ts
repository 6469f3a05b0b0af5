/** Layers without weights: activations, dropout, pools, shapes. */
import { modulo, plus, times } from '../../../arithmetic.js';
import { dropout as applyDropout, gelu as applyGelu, softmax as applySoftmax, binary, mul, unary } from '../../../ops/elementwise.js';
import { adaptivePool2d, pool2d } from '../../../ops/layers.js';
import { dimension } from '../../../ops/shapes.js';
import {
  flatten as applyFlatten,
  permute as applyPermute,
  reshape as applyReshape,
  select as applySelect,
  reduce,
} from '../../../ops/views.js';
import { choice, flag, integer, integerPair, integers, real, specError } from '../fields.js';
import { expectImage, expectSequence, type Layer, layer, shapeText } from '../layer.js';

/** An activation with an in-place form: relu and relu_. */
function activation(op: string, args: (number | boolean)[] = []): Layer {
  return layer(null, { inplace: flag(false) }, ({ g }, x, { inplace }) => unary(g, `aten.${op}${inplace ? '_' : ''}`, x, args));
}

const leakyrelu = layer('slope', { slope: real(0.01), inplace: flag(false) }, ({ g }, x, { slope, inplace }) =>
  unary(g, `aten.leaky_relu${inplace ? '_' : ''}`, x, [slope]),
);

const gelu = layer('approximate', { approximate: choice(['none', 'tanh'], 'none') }, ({ g }, x, { approximate }) =>
  applyGelu(g, x, approximate === 'tanh' ? 'tanh' : undefined),
);

const softmax = layer('dim', { dim: integer(-1, -8) }, ({ g }, x, { dim }) => applySoftmax(g, x, dim));

const dropout = layer('p', { p: real(0.5, 0, 1) }, ({ g }, x, { p }) => applyDropout(g, x, p));

/** Stochastic depth: drops whole samples of a residual branch; nothing at all for p = 0. */
const droppath = layer('p', { p: real(0, 0, 0.999) }, ({ g }, x, { p }) => {
  if (p === 0) return x;
  const mask = { shape: x.shape.map((extent, index) => (index === 0 ? extent : 1)), dtype: x.dtype };
  const empty = g.call('aten.new_empty', [x, mask.shape.map((extent) => (typeof extent === 'number' ? extent : `=${extent}`))], mask);
  const kept = g.call('aten.bernoulli_.float', [empty, 1 - p], mask);
  return mul(g, x, binary(g, 'aten.div_.Scalar', kept, 1 - p));
});

function pool(op: 'max' | 'avg'): Layer {
  const fields = { kernel: integerPair(), stride: integerPair(0, 0), padding: integerPair(0, 0), ceil: flag(false) };
  return layer('kernel', fields, ({ g, place }, x, { kernel, stride, padding, ceil }) => {
    expectImage(x, place);
    return pool2d(g, op, x, kernel, stride[0] === 0 ? kernel : stride, padding, ceil);
  });
}

const adaptivepool = layer('size', { size: integerPair() }, ({ g, place }, x, { size }) => {
  expectImage(x, place);
  return adaptivePool2d(g, 'avg', x, size);
});

/** The mean over an image's pixels: [B, channels], or [B, channels, 1, 1] when it keeps the dimensions. */
const globalpool = layer(null, { keep: flag(false) }, ({ g, place }, x, { keep }) => {
  expectImage(x, place);
  const pooled = adaptivePool2d(g, 'avg', x, 1);
  return keep ? pooled : applyFlatten(g, pooled, 1);
});

const flatten = layer('start', { start: integer(1, 0) }, ({ g, place }, x, { start }) => {
  if (start >= x.shape.length) throw specError(place, `start: there is no dimension ${start} in the shape ${shapeText(x.shape)}`);
  return applyFlatten(g, x, start);
});

const permute = layer('order', { order: integers() }, ({ g, place }, x, { order }) => {
  if ([...order].sort((a, b) => a - b).join() !== x.shape.map((_, index) => index).join()) {
    throw specError(place, `order: expected each of the ${x.shape.length} dimensions once, found [${order}]`);
  }
  return applyPermute(g, x, order);
});

/** A new shape behind the batch: `reshape: [64, -1]`. */
const reshape = layer('shape', { shape: integers(-1) }, ({ g, place }, x, { shape }) => {
  const elements = times(...x.shape.slice(1));
  const known = times(...shape.filter((extent) => extent !== -1));
  const open = shape.filter((extent) => extent === -1).length;
  if (open > 1 || (open === 1 ? modulo(elements, Number(known)) !== 0 : elements !== known)) {
    throw specError(place, `shape: the ${elements} elements of a sample don't fit [${shape}]`);
  }
  return applyReshape(g, x, [x.shape[0] ?? 'B', ...shape]);
});

/** One position of a sequence: `select: 0` is the class token. */
const select = layer('index', { index: integer(undefined, -1_000_000) }, ({ g, place }, x, { index }) => {
  expectSequence(x, place);
  return applySelect(g, x, 1, index);
});

const mean = layer('dim', { dim: integer(1, -8) }, ({ g, place }, x, { dim }) => {
  if (dimension(dim, x.shape.length) >= x.shape.length)
    throw specError(place, `there is no dimension ${dim} in the shape ${shapeText(x.shape)}`);
  return reduce(g, 'aten.mean.dim', x, [dim]);
});

/** Nearest-neighbour upsampling by a whole factor. */
const upsample = layer('factor', { factor: integer(2) }, ({ g, place }, x, { factor }) => {
  expectImage(x, place);
  const [batch, channels, height, width] = x.shape;
  const grown = [height, width].map((extent) => plus(...Array.from({ length: factor }, () => extent ?? 1)));
  return g.call('aten.upsample_nearest2d.vec', [x, null, [factor, factor]], {
    shape: [batch ?? 'B', channels ?? 1, ...grown],
    dtype: x.dtype,
  });
});

export const SIMPLE_LAYERS: Record<string, Layer> = {
  relu: activation('relu'),
  relu6: activation('hardtanh', [0, 6]),
  silu: activation('silu'),
  hardswish: activation('hardswish'),
  hardsigmoid: activation('hardsigmoid'),
  sigmoid: activation('sigmoid'),
  tanh: activation('tanh'),
  leakyrelu,
  gelu,
  softmax,
  dropout,
  droppath,
  maxpool: pool('max'),
  avgpool: pool('avg'),
  adaptivepool,
  globalpool,
  flatten,
  permute,
  reshape,
  select,
  mean,
  upsample,
};
