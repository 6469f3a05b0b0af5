/** Pooling, on channels-last data. */
import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { Call, Operation } from '../call.js';
import { arrange, CHANNELS_LAST, shapeOf } from '../value.js';
import { resample, type Weights } from './resampling.js';
import { padForWindow, type Window } from './window.js';

interface Pool {
  image: Tensor4D;
  window: Window;
  padding: [number, number];
}

function readPool(call: Call, ceilAt: number): Pool {
  const input = call.value(0);
  if (input.order.length !== 4) call.fail(`expected a batch of images (4 axes), found ${input.order.length} axes`);
  const [, , height, width] = shapeOf(input) as [number, number, number, number];
  const spans = call.pair(1, 1);
  const stride = call.pair(2, spans);
  const padding = call.pair(3, 0);
  const outputs = [height, width].map((size, axis) => {
    const [span, step, pad] = [spans[axis], stride[axis], padding[axis]] as [number, number, number];
    if (!call.flag(ceilAt)) return Math.floor((size + 2 * pad - span) / step) + 1;
    const count = Math.ceil((size + 2 * pad - span) / step) + 1;
    // The last window must start inside the image or its left padding.
    return (count - 1) * step >= size + pad ? count - 1 : count;
  }) as [number, number];
  return { image: arrange(call.tf, input, CHANNELS_LAST) as Tensor4D, window: { spans, stride, before: padding, outputs }, padding };
}

/** aten.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode). */
const maxPool: Operation = (call) => {
  const { image, window } = readPool(call, 5);
  if (call.pair(4, 1).some((dilation) => dilation !== 1)) call.fail('only without dilation');
  const { padded, mode } = padForWindow(call.tf, image, window, -Infinity);
  return { tensor: call.tf.maxPool(padded, [...window.spans], [...window.stride], mode), order: CHANNELS_LAST };
};

/** aten.avg_pool2d(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override). */
const averagePool: Operation = (call) => {
  const { tf } = call;
  const { image, window, padding } = readPool(call, 4);
  if (call.has(6)) call.fail('only without divisor_override');
  const over = window.outputs.some((count, axis) => {
    const size = image.shape[axis + 1] as number;
    return (count - 1) * (window.stride[axis] as number) + (window.spans[axis] as number) > size + 2 * (padding[axis] as number);
  });
  if (over) call.fail('windows that reach beyond the padding (ceil_mode)');
  const pool = (from: Tensor4D) => {
    const { padded, mode } = padForWindow(tf, from, window, 0);
    // "same" pooling would leave the padding out of the mean.
    const wide = mode === 'same' ? tf.pad(from, sidesOf(window, from), 0) : padded;
    return tf.avgPool(wide, [...window.spans], [...window.stride], 'valid');
  };
  const sums = pool(image);
  if (call.flag(5, true) || padding.every((pad) => pad === 0)) return { tensor: sums, order: CHANNELS_LAST };
  const [, height, width] = image.shape;
  const share = pool(tf.ones([1, height, width, 1]));
  return { tensor: tf.div(sums, share), order: CHANNELS_LAST };
};

function sidesOf(window: Window, image: Tensor4D): [[number, number], [number, number], [number, number], [number, number]] {
  const side = (axis: 0 | 1): [number, number] => {
    const reach = (window.outputs[axis] - 1) * window.stride[axis] + window.spans[axis];
    return [window.before[axis], Math.max(reach - (image.shape[axis + 1] as number) - window.before[axis], 0)];
  };
  return [[0, 0], side(0), side(1), [0, 0]];
}

/** aten.adaptive_avg_pool2d(input, output_size): the mean over floor(i * size / out) to ceil((i + 1) * size / out). */
const adaptiveAveragePool: Operation = (call) => {
  const { tf } = call;
  const input = call.value(0);
  const [, , height, width] = shapeOf(input) as [number, number, number, number];
  const [rows, columns] = call.pair(1, 1);
  if (rows === height && columns === width) return input;
  if (rows === 1 && columns === 1) {
    const axes = [input.order[2] as number, input.order[3] as number];
    return { tensor: tf.mean(input.tensor, axes, true), order: input.order };
  }
  return resample(tf, input, averaging(rows, height), averaging(columns, width));
};

/** The weights that average `size` elements into `out`. */
function averaging(out: number, size: number): Weights {
  return Array.from({ length: out }, (_, at) => {
    const [start, end] = [Math.floor((at * size) / out), Math.ceil(((at + 1) * size) / out)];
    return Array.from({ length: size }, (_, index) => (index >= start && index < end ? 1 / (end - start) : 0));
  });
}

export const pooling: Record<string, Operation> = {
  max_pool2d: maxPool,
  avg_pool2d: averagePool,
  adaptive_avg_pool2d: adaptiveAveragePool,
};
