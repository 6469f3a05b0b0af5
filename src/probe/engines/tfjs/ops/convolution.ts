/** Convolutions, on channels-last data: TensorFlow's CPU kernels have gradients for that layout alone. */
import type { Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import type { Call, Operation } from '../call.js';
import { arrange, CHANNELS_LAST, FILTER, shapeOf, type TF, type Value } from '../value.js';
import { padForWindow } from './window.js';

/** aten.conv2d(input, weight, bias, stride, padding, dilation, groups). */
const conv2d: Operation = (call) => {
  const { tf } = call;
  const input = call.value(0);
  const weight = call.value(1);
  if (input.order.length !== 4) call.fail(`expected a batch of images (4 axes), found ${input.order.length} axes`);
  const [, channels, height, width] = shapeOf(input) as [number, number, number, number];
  const [, perGroup, kernelHeight, kernelWidth] = shapeOf(weight) as [number, number, number, number];
  const stride = call.pair(3, 1);
  const dilation = call.pair(5, 1);
  const groups = call.number(6, 1);
  const spans = [(kernelHeight - 1) * dilation[0] + 1, (kernelWidth - 1) * dilation[1] + 1] as [number, number];
  const padding = paddingOf(call, spans, stride);
  const outputs = [0, 1].map((axis) => {
    const size = (axis === 0 ? height : width) + padding[axis as 0 | 1][0] + padding[axis as 0 | 1][1];
    return Math.floor((size - (spans[axis] as number)) / (stride[axis] as number)) + 1;
  }) as [number, number];
  let filter = arrange(tf, weight, FILTER) as Tensor4D;
  if (dilation[0] > 1) filter = dilate(tf, filter, 0, dilation[0]);
  if (dilation[1] > 1) filter = dilate(tf, filter, 1, dilation[1]);
  const image = arrange(tf, input, CHANNELS_LAST) as Tensor4D;
  const { padded, mode } = padForWindow(tf, image, { spans, stride, before: [padding[0][0], padding[1][0]], outputs }, 0);
  let result: Tensor4D;
  if (groups === 1) result = tf.conv2d(padded, filter, stride, mode);
  else if (groups === channels && perGroup === 1) result = depthwise(tf, padded, filter, channels, stride, mode);
  else result = grouped(tf, padded, filter, groups, stride, mode);
  const bias = call.optionalTensor(2);
  return { tensor: bias ? tf.add(result, bias) : result, order: CHANNELS_LAST };
};

type Sides = [before: number, after: number];

function paddingOf(call: Call, spans: [number, number], stride: [number, number]): [Sides, Sides] {
  const named = call.text(4);
  if (named === 'valid')
    return [
      [0, 0],
      [0, 0],
    ];
  if (named === 'same') {
    if (stride[0] !== 1 || stride[1] !== 1) call.fail('padding "same" needs a stride of 1');
    // PyTorch puts the odd one behind.
    return spans.map((span) => [Math.floor((span - 1) / 2), Math.ceil((span - 1) / 2)]) as [Sides, Sides];
  }
  const [vertical, horizontal] = call.pair(4, 0);
  return [
    [vertical, vertical],
    [horizontal, horizontal],
  ];
}

/** Output channel c * m + j of PyTorch belongs to input channel c, as TensorFlow's [height, width, c, m] has it. */
function depthwise(
  tf: TF,
  image: Tensor4D,
  filter: Tensor4D,
  channels: number,
  stride: [number, number],
  mode: 'same' | 'valid',
): Tensor4D {
  const [height, width, , outputs] = filter.shape;
  // TensorFlow's depthwise kernels take one stride for both axes.
  if (stride[0] !== stride[1]) return grouped(tf, image, filter, channels, stride, mode);
  const perChannel = tf.reshape(filter, [height, width, channels, outputs / channels]) as Tensor4D;
  return tf.depthwiseConv2d(image, perChannel, stride, mode);
}

function grouped(tf: TF, image: Tensor4D, filter: Tensor4D, groups: number, stride: [number, number], mode: 'same' | 'valid'): Tensor4D {
  const images: Tensor4D[] = tf.split(image, groups, 3);
  const filters: Tensor4D[] = tf.split(filter, groups, 3);
  const results: Tensor4D[] = images.map((part, at) => tf.conv2d<Tensor4D>(part, filters[at] as Tensor4D, stride, mode));
  return tf.concat(results, 3);
}

/** A filter with zeros between its taps: TensorFlow.js has no gradient for dilated convolutions. */
function dilate(tf: TF, filter: Tensor4D, axis: 0 | 1, dilation: number): Tensor4D {
  const [height, width, inputs, outputs] = filter.shape;
  const taps = filter.shape[axis] as number;
  const before = axis === 0 ? 1 : height;
  const after = axis === 0 ? width * inputs * outputs : inputs * outputs;
  const spread = tf.pad(tf.reshape(filter, [before * taps, 1, after]) as Tensor3D, [
    [0, 0],
    [0, dilation - 1],
    [0, 0],
  ]);
  const long = tf.reshape(spread, [before, taps * dilation, after]) as Tensor3D;
  const span = (taps - 1) * dilation + 1;
  const sizes: [number, number, number, number] = axis === 0 ? [span, width, inputs, outputs] : [height, span, inputs, outputs];
  return tf.reshape(tf.slice(long, [0, 0, 0], [before, span, after]), sizes);
}

/** aten.conv1d as a convolution over images of height 1. */
const conv1d: Operation = (call) => {
  const { tf } = call;
  const input = call.value(0);
  const [batch, channels, length] = shapeOf(input) as [number, number, number];
  const weight = call.value(1);
  const [outputs, perGroup, taps] = shapeOf(weight) as [number, number, number];
  if (call.number(6, 1) !== 1) call.fail('only without groups');
  const [stride, dilation, padding] = [call.numbers(3, [1])[0], call.numbers(5, [1])[0], call.numbers(4, [0])[0]] as [
    number,
    number,
    number,
  ];
  const image = tf.reshape(arrange(tf, input, [0, 2, 1]), [batch, 1, length, channels]) as Tensor4D;
  let filter = tf.reshape(arrange(tf, weight, [2, 1, 0]), [1, taps, perGroup, outputs]) as Tensor4D;
  if (dilation > 1) filter = dilate(tf, filter, 1, dilation);
  const span = (taps - 1) * dilation + 1;
  const count = Math.floor((length + 2 * padding - span) / stride) + 1;
  const window = { spans: [1, span], stride: [1, stride], before: [0, padding], outputs: [1, count] } as const;
  const { padded, mode } = padForWindow(tf, image, window, 0);
  const result: Tensor4D = tf.conv2d(padded, filter, [1, stride], mode);
  const bias = call.optionalTensor(2);
  const sum = bias ? tf.add(result, bias) : result;
  return { tensor: tf.reshape(sum, [batch, count, outputs]), order: [0, 2, 1] } satisfies Value;
};

/** aten.conv_transpose2d(input, weight, bias, stride, padding, output_padding, groups, dilation). */
const convTranspose2d: Operation = (call) => {
  const { tf } = call;
  const [input, weight] = [call.value(0), call.value(1)];
  if (call.number(6, 1) !== 1 || call.pair(7, 1).some((dilation) => dilation !== 1)) call.fail('only without groups and dilation');
  const [batch, , height, width] = shapeOf(input) as [number, number, number, number];
  const [, channels, ...kernel] = shapeOf(weight) as [number, number, number, number];
  const [stride, padding, extra] = [call.pair(3, 1), call.pair(4, 0), call.pair(5, 0)];
  const full = [height, width].map((size, axis) => (size - 1) * (stride[axis] as number) + (kernel[axis] as number)) as [number, number];
  const image = arrange(tf, input, CHANNELS_LAST) as Tensor4D;
  // PyTorch's (in, out, height, width) lies in TensorFlow's order of a transposed filter just as a filter does in its own.
  const spread = tf.conv2dTranspose(image, arrange(tf, weight, FILTER) as Tensor4D, [batch, ...full, channels], stride, 'valid');
  const sizes = full.map((size, axis) => size - 2 * (padding[axis] as number) + (extra[axis] as number)) as [number, number];
  const beyond = sizes.map((size, axis) => Math.max(size + (padding[axis] as number) - (full[axis] as number), 0)) as [number, number];
  const reaching = beyond.some((amount) => amount > 0)
    ? tf.pad(spread, [
        [0, 0],
        [0, beyond[0]],
        [0, beyond[1]],
        [0, 0],
      ])
    : spread;
  const result = tf.slice(reaching, [0, ...padding, 0], [batch, ...sizes, channels]);
  const bias = call.optionalTensor(2);
  return { tensor: bias ? tf.add(result, bias) : result, order: CHANNELS_LAST };
};

export const convolution: Record<string, Operation> = { conv2d, conv1d, conv_transpose2d: convTranspose2d };
