/** Batch, layer, group and RMS normalization, with the gradient written out so that only the input and two statistics are kept. */
import type { Tensor } from '@tensorflow/tfjs-core';
import type { Operation } from '../call.js';
import { withGradient } from '../gradient.js';
import { plain, plainValue, shapeOf, type TF } from '../value.js';

interface Normalized {
  output: Tensor;
  /** Statistics over `axes`, kept by the caller's scope: dispose when done. */
  mean: Tensor;
  variance: Tensor;
}

/**
 * y = (x - mean) / sqrt(variance + eps) * weight + bias over `axes`; weight and bias are shaped to broadcast over x.
 * With g = dy * weight and xhat the normalized input: dx = (g - mean(g) - xhat * mean(g * xhat)) / sqrt(variance + eps).
 */
export function normalize(tf: TF, x: Tensor, axes: number[], weight: Tensor | null, bias: Tensor | null, eps: number): Normalized {
  let [mean, variance] = [x, x];
  const reduced = (dy: Tensor, like: Tensor) => {
    const over = like.shape.flatMap((size, axis) => (size === 1 && dy.shape[axis] !== 1 ? [axis] : []));
    return over.length > 0 ? tf.sum(dy, over, true) : dy;
  };
  const given = [x, weight, bias].filter((tensor): tensor is Tensor => tensor !== null);
  const output = withGradient(tf, given, {
    forward: (input, scale, shift) => {
      const moments = tf.moments(input as Tensor, axes, true);
      mean = tf.keep(moments.mean);
      variance = tf.keep(moments.variance);
      const deviation = tf.rsqrt(tf.add(variance, eps));
      const normalized = tf.mul(tf.sub(input as Tensor, mean), deviation);
      const scaled = scale ? tf.mul(normalized, scale) : normalized;
      return { value: shift ? tf.add(scaled, shift) : scaled, saved: [input as Tensor, mean, deviation, ...(scale ? [scale] : [])] };
    },
    backward: (dy, saved) => {
      const [kept, center, inverse, factor] = saved as [Tensor, Tensor, Tensor, Tensor | undefined];
      const unit = tf.mul(tf.sub(kept, center), inverse);
      const gradient = factor ? tf.mul(dy, factor) : dy;
      const projected = tf.mul(unit, tf.mean(tf.mul(gradient, unit), axes, true));
      const dx = tf.mul(tf.sub(tf.sub(gradient, tf.mean(gradient, axes, true)), projected), inverse);
      const parts = [dx];
      if (factor) parts.push(reduced(tf.mul(dy, unit), factor));
      if (bias) parts.push(reduced(dy, bias));
      return parts;
    },
  });
  return { output, mean, variance };
}

/** aten.batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled). */
const batchNorm: Operation = (call) => {
  const { tf } = call;
  const { tensor: x, order } = call.value(0);
  const channelAxis = order[1] as number;
  const channels = x.shape[channelAxis] as number;
  const wide = x.shape.map((_, axis) => (axis === channelAxis ? channels : 1));
  const shaped = (at: number) => {
    const tensor = call.optionalTensor(at);
    return tensor && tf.reshape(tensor, wide);
  };
  const eps = call.number(7, 1e-5);
  const [weight, bias] = [shaped(1), shaped(2)];
  if (bias && !weight) call.fail('a bias without a weight');
  if (!call.flag(5, true)) {
    const [mean, variance] = [shaped(3), shaped(4)];
    if (!mean || !variance) return call.fail('evaluation without running statistics');
    const scale = tf.mul(tf.rsqrt(tf.add(variance, eps)), weight ?? 1);
    const scaled = tf.mul(tf.sub(x, mean), scale);
    return { tensor: bias ? tf.add(scaled, bias) : scaled, order };
  }
  const axes = x.shape.flatMap((_, axis) => (axis === channelAxis ? [] : [axis]));
  const { output, mean, variance } = normalize(tf, x, axes, weight, bias, eps);
  const momentum = call.number(6, 0.1);
  const samples = x.size / channels;
  const statistics: [number, Tensor, number][] = [
    [3, mean, 1],
    // The running variance is the unbiased one.
    [4, variance, samples / Math.max(samples - 1, 1)],
  ];
  for (const [at, statistic, factor] of statistics) {
    const name = call.buffer(at);
    if (name) {
      const old = call.tensor(at);
      call.updateBuffer(name, tf.add(tf.mul(old, 1 - momentum), tf.mul(tf.reshape(statistic, old.shape), momentum * factor)));
    }
    statistic.dispose();
  }
  return { tensor: output, order };
};

/** aten.layer_norm(input, normalized_shape, weight, bias, eps, cudnn_enable). */
const layerNorm: Operation = (call) => {
  const { tf } = call;
  const x = call.tensor(0);
  const depth = call.numbers(1).length;
  const axes = Array.from({ length: depth }, (_, at) => x.rank - depth + at);
  const shaped = (at: number) => {
    const tensor = call.optionalTensor(at);
    return tensor && tf.reshape(tensor, [...Array(x.rank - depth).fill(1), ...tensor.shape]);
  };
  const [weight, bias] = [shaped(2), shaped(3)];
  if (bias && !weight) call.fail('a bias without a weight');
  const { output, mean, variance } = normalize(tf, x, axes, weight, bias, call.number(4, 1e-5));
  tf.dispose([mean, variance]);
  return plainValue(output);
};

/** aten.group_norm(input, num_groups, weight, bias, eps): normalizes each sample's groups of channels. */
const groupNorm: Operation = (call) => {
  const { tf } = call;
  const input = call.value(0);
  const shape = shapeOf(input);
  const [batch, channels] = shape as [number, number];
  const groups = call.number(1);
  const grouped = tf.reshape(plain(tf, input), [batch, groups, -1]);
  const { output, mean, variance } = normalize(tf, grouped, [2], null, null, call.number(4, 1e-5));
  tf.dispose([mean, variance]);
  const wide = [1, channels, ...Array(shape.length - 2).fill(1)];
  let result = tf.reshape(output, shape);
  const [weight, bias] = [call.optionalTensor(2), call.optionalTensor(3)];
  if (weight) result = tf.mul(result, tf.reshape(weight, wide));
  if (bias) result = tf.add(result, tf.reshape(bias, wide));
  return plainValue(result);
};

/** aten.rms_norm(input, normalized_shape, weight, eps): eps is the smallest float32 step above 1 when absent. */
const rmsNorm: Operation = (call) => {
  const { tf } = call;
  const x = call.tensor(0);
  const depth = call.numbers(1).length;
  const axes = Array.from({ length: depth }, (_, at) => x.rank - depth + at);
  const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(x), axes, true), call.number(3, 2 ** -23)));
  const weight = call.optionalTensor(2);
  const normalized = tf.mul(x, inverse);
  return plainValue(weight ? tf.mul(normalized, weight) : normalized);
};

export const normalization: Record<string, Operation> = {
  batch_norm: batchNorm,
  layer_norm: layerNorm,
  group_norm: groupNorm,
  rms_norm: rmsNorm,
};
