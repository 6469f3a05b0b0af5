/** Convolutions: kernels are [out, in/groups, ...taps] here, as ATen has them, and [...taps, in/groups, out] in Keras. */
import type { Value } from '../../../builder.js';
import { convolve, convolveTransposed, type Window } from '../../../ops/spatial.js';
import { activateField } from '../activations.js';
import { type Fields, layerError } from '../fields.js';
import { expectRank, known, type Layer, type LayerCall, only } from '../layer.js';
import { channelAxis, channelsFirst, dataFormat, padWindow } from '../layout.js';

interface Strides {
  kernel: number[];
  stride: number[];
  dilation: number[];
  padding: string;
}

function strides(fields: Fields, dimensions: number): Strides {
  return {
    kernel: fields.integers('kernel_size', dimensions),
    stride: fields.integers('strides', dimensions, 1),
    dilation: fields.integers('dilation_rate', dimensions, 1),
    padding: fields.text('padding', ['valid', 'same', 'causal'], 'valid'),
  };
}

/** The layer's input as [B, C, ...], and its result back in the layer's own order. */
function inChannels(call: LayerCall, dimensions: number, body: (x: Value, channels: number) => Value): Value {
  const { g, fields, place } = call;
  const x = only(call);
  expectRank(x, dimensions + 2, place);
  const axis = channelAxis(x, dataFormat(fields));
  const channels = known(x.shape[axis], place);
  return activateField(
    g,
    channelsFirst(g, x, axis, (first) => body(first, channels)),
    fields,
  );
}

function bias({ fields, weight }: LayerCall, out: number): Value | null {
  return fields.flag('use_bias', true) ? weight('bias', [out]) : null;
}

/** Pads as the layer says and convolves. */
function run({ g, place }: LayerCall, input: Value, kernel: Value, shift: Value | null, shape: Strides, groups: number): Value {
  const { stride, dilation, padding: mode } = shape;
  // "causal" looks back only: all of the padding is in front.
  const reach = (dilation[0] ?? 1) * ((shape.kernel[0] ?? 1) - 1);
  const causal = mode === 'causal' ? g.call('aten.pad', [input, [reach, 0]], { ...input, shape: grown(input, reach) }) : input;
  const { x, padding } = padWindow(g, causal, shape.kernel, shape, mode === 'causal' ? 'valid' : mode);
  const window: Window = { stride, padding, dilation };
  const result = convolve(g, x, kernel, shift, window, groups);
  const empty = result.shape.slice(2).some((extent) => Number(extent) < 1);
  if (empty) throw layerError(place, `nothing is left of the input [${input.shape}]`, 'take a larger input: --image or --seq');
  return result;
}

function grown(x: Value, amount: number): Value['shape'] {
  return [...x.shape.slice(0, 2), Number(x.shape[2]) + amount];
}

const conv =
  (dimensions: number): Layer =>
  (call) =>
    inChannels(call, dimensions, (x, channels) => {
      const { fields, place } = call;
      const shape = strides(fields, dimensions);
      const [out, groups] = [fields.integer('filters'), fields.integer('groups', 1)];
      if (channels % groups !== 0) throw layerError(place, `groups: ${groups} does not divide the ${channels} channels of the input`);
      const kernel = call.weight('kernel', [out, channels / groups, ...shape.kernel]);
      return run(call, x, kernel, bias(call, out), shape, groups);
    });

const depthwise =
  (dimensions: number): Layer =>
  (call) =>
    inChannels(call, dimensions, (x, channels) => {
      const shape = strides(call.fields, dimensions);
      const out = channels * call.fields.integer('depth_multiplier', 1);
      // Keras 2 calls it "depthwise_kernel"; the name is not in the file.
      const kernel = call.weight('kernel', [out, 1, ...shape.kernel]);
      return run(call, x, kernel, bias(call, out), shape, channels);
    });

const separable =
  (dimensions: number): Layer =>
  (call) =>
    inChannels(call, dimensions, (x, channels) => {
      const shape = strides(call.fields, dimensions);
      const [out, wide] = [call.fields.integer('filters'), channels * call.fields.integer('depth_multiplier', 1)];
      const depth = run(call, x, call.weight('depthwise_kernel', [wide, 1, ...shape.kernel]), null, shape, channels);
      const ones = shape.kernel.map(() => 1);
      const point = { kernel: ones, stride: ones, dilation: ones, padding: 'valid' };
      return run(call, depth, call.weight('pointwise_kernel', [out, wide, ...ones]), bias(call, out), point, 1);
    });

/** Output of "same": extent * stride; of "valid": extent * stride + max(taps - stride, 0) (keras/src/backend/common). */
const transposed =
  (dimensions: number): Layer =>
  (call) =>
    inChannels(call, dimensions, (x, channels) => {
      const { fields, g } = call;
      const shape = strides(fields, dimensions);
      const out = fields.integer('filters');
      const asked = fields.has('output_padding') ? fields.integers('output_padding', dimensions, 0, 0) : null;
      const over = shape.kernel.map((taps, index) => (shape.dilation[index] ?? 1) * (taps - 1) + 1 - (shape.stride[index] ?? 1));
      const same = shape.padding === 'same';
      const padding = over.map((extra, index) =>
        same ? (asked ? Math.floor((shape.kernel[index] ?? 1) / 2) : Math.max(Math.ceil(extra / 2), 0)) : 0,
      );
      const extra = over.map((rest, index) => asked?.[index] ?? (same ? 2 * (padding[index] ?? 0) - rest : Math.max(-rest, 0)));
      const kernel = call.weight('kernel', [channels, out, ...shape.kernel]);
      return convolveTransposed(g, x, kernel, bias(call, out), { ...shape, padding, extra });
    });

export const CONVOLUTION_LAYERS: Record<string, Layer> = {
  Conv1D: conv(1),
  Conv2D: conv(2),
  Conv3D: conv(3),
  DepthwiseConv1D: depthwise(1),
  DepthwiseConv2D: depthwise(2),
  SeparableConv1D: separable(1),
  SeparableConv2D: separable(2),
  Conv1DTranspose: transposed(1),
  Conv2DTranspose: transposed(2),
  Conv3DTranspose: transposed(3),
};
