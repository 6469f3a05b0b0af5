/** Convolutions: input and weight are kept; backward makes the gradients of input, weight and bias in one call. */

import type { Convolution } from '../kernels.js';
import { define, type Rule, type Value } from '../registry.js';
import type { Session } from '../session.js';
import { channelsLastStrides, contiguousStrides, product, suggestsChannelsLast, type Tensor } from '../tensor.js';
import { flag, number, numbers, optionalTensor, tensor } from './arguments.js';
import { gradientWorkspace, workspace } from './convolution-workspace.js';
import { constantPad } from './indexing.js';
import { squeeze, unsqueeze } from './views.js';

const spread = (value: Value | undefined, count: number, fallback: number): number[] => {
  const list = numbers(value, [fallback]);
  return Array.from({ length: count }, (_, i) => list[i] ?? list[0] ?? fallback);
};

interface Geometry {
  stride: number[];
  padding: number[];
  dilation: number[];
  transposed: boolean;
  outputPadding: number[];
  groups: number;
  /** cuDNN measures its algorithms and takes the fastest. */
  benchmark: boolean;
}

function outputShape(input: Tensor, weight: Tensor, g: Geometry): number[] {
  const spatial = input.shape.slice(2).map((size, i) => {
    const kernel = (g.dilation[i] as number) * ((weight.shape[2 + i] as number) - 1) + 1;
    const [stride, padding] = [g.stride[i] as number, g.padding[i] as number];
    if (g.transposed) return (size - 1) * stride - 2 * padding + kernel + (g.outputPadding[i] as number);
    return Math.floor((size + 2 * padding - kernel) / stride) + 1;
  });
  return [input.size(0), g.transposed ? weight.size(1) * g.groups : weight.size(0), ...spatial];
}

/** Layout of a convolution's tensors: channels last as soon as input or weight suggest it. */
function layout(shape: readonly number[], channelsLast: boolean): number[] {
  return channelsLast ? channelsLastStrides(shape) : contiguousStrides(shape);
}

export function convolution(s: Session, input: Tensor, weight: Tensor, bias: Tensor | null, g: Geometry): Tensor {
  const channelsLast = suggestsChannelsLast(input) || suggestsChannelsLast(weight);
  const shape = outputShape(input, weight, g);
  const out = s.costly(() => s.empty(shape, input.type, layout(shape, channelsLast)));
  s.tape.countKernel('convolution');
  if (!s.reused) workspace(s, { ...g, tensors: [input, weight, out], channelsLast });
  if (!s.reused) logConvolution(s, 'forward', [input, weight, bias], out, input, weight, out, g, channelsLast);
  s.record('convolution', [input, weight, bias], [out], [input, weight], ([grad], needs) => {
    if (!grad) return [null, null, null];
    const last = channelsLast || suggestsChannelsLast(grad);
    const inputGrad = needs[0] ? s.empty(input.shape, input.type, layout(input.shape, last)) : null;
    const weightGrad = needs[1] ? s.empty(weight.shape, weight.type, layout(weight.shape, last && weight.shape.length === 4)) : null;
    const biasGrad = needs[2] && bias ? s.empty(bias.shape, bias.type) : null;
    if (inputGrad) logConvolution(s, 'input-gradient', [grad, weight], inputGrad, input, weight, grad, g, last);
    if (weightGrad) logConvolution(s, 'weight-gradient', [grad, input], weightGrad, input, weight, grad, g, last);
    const call = { ...g, tensors: [input, weight, grad] as const, channelsLast: last };
    if (inputGrad || weightGrad) gradientWorkspace(s, call, g.benchmark && weightGrad !== null);
    if (biasGrad) s.log?.add('reduction', 'sum', [grad], [biasGrad]);
    return [inputGrad, weightGrad, biasGrad];
  });
  return out;
}

/** A convolution is a product of [positions, taps * channels] by [taps * channels, channels out], in each group. */
function logConvolution(
  s: Session,
  part: Convolution['part'],
  read: (Tensor | null)[],
  written: Tensor,
  input: Tensor,
  weight: Tensor,
  output: Tensor,
  g: Geometry,
  channelsLast: boolean,
): void {
  if (!s.log) return;
  const taps = product(weight.shape.slice(2));
  // A transposed convolution is the input gradient of the one from its output to its input.
  const [from, to] = g.transposed ? [output, input] : [input, output];
  const [channelsIn, channelsOut] = [from.size(1) / g.groups, to.size(1) / g.groups];
  const positions = (t: Tensor): number => t.elements / Math.max(t.size(1), 1);
  const forward = { groups: g.groups, rows: positions(to), columns: channelsOut, inner: taps * channelsIn };
  const scattered = { groups: g.groups, rows: positions(from), columns: channelsIn, inner: taps * channelsOut };
  const shapes = {
    forward: g.transposed ? scattered : forward,
    'input-gradient': g.transposed ? forward : scattered,
    'weight-gradient': { groups: g.groups, rows: channelsOut, columns: taps * channelsIn, inner: positions(to) },
  };
  const flops = 2 * g.groups * forward.rows * forward.columns * forward.inner;
  const stride = Math.max(...g.stride);
  // Libraries take dense tensors in one layout: parts of a larger tensor are copied first.
  for (const t of read) {
    if (!t || t.shape.length < 3) continue;
    s.log.copyUnlessLaid(t, layout(t.shape, channelsLast && t.shape.length === 4));
  }
  s.log.add('convolution', 'convolution', read, [written], {
    flops,
    product: shapes[part],
    convolution: { part, taps, stride, channelsLast },
  });
}

/** conv1d is a convolution of height one. */
function convRule(dimensions: 1 | 2 | 3, transposed: boolean): Rule {
  return (s, args) => {
    let input = tensor(args[0]);
    const weight = tensor(args[1]);
    const bias = optionalTensor(args[2]);
    const unbatched = input.shape.length === dimensions + 1;
    if (unbatched) input = unsqueeze(s, input, 0);
    const geometry: Geometry = {
      stride: spread(args[3], dimensions, 1),
      padding: typeof args[4] === 'string' ? new Array<number>(dimensions).fill(0) : spread(args[4], dimensions, 0),
      dilation: spread(args[transposed ? 7 : 5], dimensions, 1),
      transposed,
      outputPadding: transposed ? spread(args[5], dimensions, 0) : new Array<number>(dimensions).fill(0),
      groups: number(args[6], 1),
      benchmark: false,
    };
    if (args[4] === 'same') input = samePadding(s, input, weight, geometry);
    const out = convolution(s, input, weight, bias, geometry);
    return unbatched ? squeeze(s, out, [0]) : out;
  };
}

/** padding="same": symmetric padding goes into the convolution, an odd rest is padded before. */
function samePadding(s: Session, input: Tensor, weight: Tensor, g: Geometry): Tensor {
  const total = weight.shape.slice(2).map((k, i) => (g.dilation[i] as number) * (k - 1));
  g.padding = total.map((t) => Math.floor(t / 2));
  if (total.every((t) => t % 2 === 0)) return input;
  const pads: number[] = [];
  for (let i = total.length - 1; i >= 0; i--) pads.push(0, (total[i] as number) % 2);
  return constantPad(s, input, pads);
}

/** aten::convolution and _convolution, with every argument given. */
const generalRule: Rule = (s, args) => {
  const input = tensor(args[0]);
  const dimensions = input.shape.length - 2;
  return convolution(s, input, tensor(args[1]), optionalTensor(args[2]), {
    stride: spread(args[3], dimensions, 1),
    padding: spread(args[4], dimensions, 0),
    dilation: spread(args[5], dimensions, 1),
    transposed: args[6] === true,
    outputPadding: spread(args[7], dimensions, 0),
    groups: number(args[8], 1),
    benchmark: flag(args[9]),
  });
};

define({
  conv1d: convRule(1, false),
  conv2d: convRule(2, false),
  conv3d: convRule(3, false),
  conv_transpose1d: convRule(1, true),
  conv_transpose2d: convRule(2, true),
  conv_transpose3d: convRule(3, true),
  convolution: generalRule,
  _convolution: generalRule,
});
