/** Layers with weights of the classic kind: convolutions, linear layers, normalizations. */
import type { GraphBuilder, Value } from '../../../builder.js';
import { unary } from '../../../ops/elementwise.js';
import { batchNorm, conv2d, groupNorm, layerNorm, linear } from '../../../ops/layers.js';
import { permute } from '../../../ops/views.js';
import { choice, flag, integer, integerPair, real, specError } from '../fields.js';
import { channelsOf, expectImage, fixedExtent, type Layer, layer, shapeText } from '../layer.js';

/** nn.Linear: the weight [out, in] and the bias [out]. */
export function linearLayer(g: GraphBuilder, x: Value, name: string, inputs: number, outputs: number, bias = true): Value {
  return g.inModule(name, () => linear(g, x, g.parameter('weight', [outputs, inputs]), bias ? g.parameter('bias', [outputs]) : null));
}

const conv = layer(
  'out',
  {
    out: integer(),
    kernel: integerPair(),
    stride: integerPair(1),
    padding: integerPair(0, 0),
    dilation: integerPair(1),
    groups: integer(1),
    bias: flag(true),
  },
  ({ g, place }, x, { out, kernel, stride, padding, dilation, groups, bias }) => {
    expectImage(x, place);
    const channels = fixedExtent(x.shape[1], place);
    if (channels % groups !== 0 || out % groups !== 0) {
      throw specError(place, `groups: ${groups} divides not both the ${channels} input and the ${out} output channels`);
    }
    const weight = g.parameter('weight', [out, channels / groups, ...kernel]);
    return conv2d(g, x, weight, bias ? g.parameter('bias', [out]) : null, { stride, padding, dilation, groups });
  },
);

const dense = layer('out', { out: integer(), bias: flag(true) }, ({ g, place }, x, { out, bias }) => {
  if (x.shape.length === 4 && typeof x.shape[3] !== 'number') {
    throw specError(place, `expected [B, features], found the image ${shapeText(x.shape)}`, 'put "globalpool" or "flatten" before it');
  }
  const inputs = fixedExtent(x.shape.at(-1), place);
  return linear(g, x, g.parameter('weight', [out, inputs]), bias ? g.parameter('bias', [out]) : null);
});

const batchnorm = layer(
  null,
  { momentum: real(0.1, 0, 1), eps: real(1e-5), affine: flag(true) },
  ({ g, place }, x, { momentum, eps, affine }) => {
    if (x.shape.length < 2) throw specError(place, `expected [B, channels, ...], found the shape ${shapeText(x.shape)}`);
    const channels = fixedExtent(x.shape[1], place);
    const parts = {
      weight: affine ? g.parameter('weight', [channels]) : null,
      bias: affine ? g.parameter('bias', [channels]) : null,
      mean: g.buffer('running_mean', [channels], 'model'),
      variance: g.buffer('running_var', [channels], 'model'),
    };
    g.buffer('num_batches_tracked', [], 'int64');
    return batchNorm(g, x, parts, momentum, eps);
  },
);

function normalizeLast(g: GraphBuilder, x: Value, features: number, eps: number, bias: boolean): Value {
  return layerNorm(g, x, [features], g.parameter('weight', [features]), bias ? g.parameter('bias', [features]) : null, eps);
}

const layernorm = layer(null, { eps: real(1e-5), bias: flag(true) }, ({ g, place }, x, { eps, bias }) =>
  normalizeLast(g, x, fixedExtent(x.shape.at(-1), place), eps, bias),
);

/** Over the channels of an image, by way of channels-last views. */
const layernorm2d = layer(null, { eps: real(1e-5) }, ({ g, place }, x, { eps }) => {
  expectImage(x, place);
  const last = permute(g, x, [0, 2, 3, 1]);
  return permute(g, normalizeLast(g, last, fixedExtent(x.shape[1], place), eps, true), [0, 3, 1, 2]);
});

const groupnorm = layer('groups', { groups: integer(), eps: real(1e-5) }, ({ g, place }, x, { groups, eps }) => {
  const channels = fixedExtent(x.shape[1], place);
  if (channels % groups !== 0) throw specError(place, `groups: ${groups} does not divide the ${channels} channels`);
  return groupNorm(g, x, groups, g.parameter('weight', [channels]), g.parameter('bias', [channels]), eps);
});

const rmsnorm = layer(null, { eps: real(1e-6) }, ({ g, place }, x, { eps }) => {
  const features = fixedExtent(x.shape.at(-1), place);
  return g.call('aten.rms_norm', [x, [features], g.parameter('weight', [features]), eps], x);
});

/** Squeeze and excite: a gate for each channel from the image's mean. */
const se = layer(
  'channels',
  { channels: integer(), activation: choice(['relu', 'silu'], 'relu'), gate: choice(['sigmoid', 'hardsigmoid'], 'sigmoid') },
  ({ g, place }, x, { channels, activation, gate }) => {
    expectImage(x, place);
    const width = fixedExtent(x.shape[1], place);
    const mean = g.call('aten.mean.dim', [x, [2, 3], true], { shape: [x.shape[0] ?? 'B', width, 1, 1], dtype: x.dtype });
    const squeezed = g.inModule('reduce', () =>
      conv2d(g, mean, g.parameter('weight', [channels, width, 1, 1]), g.parameter('bias', [channels])),
    );
    const active = unary(g, `aten.${activation}_`, squeezed);
    const expanded = g.inModule('expand', () =>
      conv2d(g, active, g.parameter('weight', [width, channels, 1, 1]), g.parameter('bias', [width])),
    );
    return g.call('aten.mul.Tensor', [x, unary(g, `aten.${gate}`, expanded)], x);
  },
);

/** A learned factor for each channel (layer scale). */
const scale = layer(null, {}, ({ g, place }, x) => {
  const channels = fixedExtent(channelsOf(x), place);
  const gamma = g.parameter('gamma', [channels]);
  const factor =
    x.shape.length === 4 ? g.call('aten.reshape', [gamma, [1, -1, 1, 1]], { shape: [1, channels, 1, 1], dtype: 'model' }) : gamma;
  return g.call('aten.mul.Tensor', [x, factor], x);
});

export const WEIGHT_LAYERS: Record<string, Layer> = {
  conv,
  linear: dense,
  batchnorm,
  layernorm,
  layernorm2d,
  groupnorm,
  rmsnorm,
  se,
  scale,
};
