/** Copies along axes. TensorFlow.js' own gradient of a tiling takes four axes at most, and cuts the gradient to pieces. */
import type { Tensor } from '@tensorflow/tfjs-core';
import { withGradient } from './gradient.js';
import type { TF } from './value.js';

/** `x` repeated `times` along each axis; the gradient is the sum over the copies. */
export function tile(tf: TF, x: Tensor, times: number[]): Tensor {
  if (x.dtype !== 'float32') return tf.tile(x, times);
  const { shape } = x;
  return withGradient(tf, [x], {
    forward: (input) => ({ value: tf.tile(input as Tensor, times), saved: [] }),
    backward: (dy) => {
      const sizes: number[] = [];
      const copies: number[] = [];
      shape.forEach((size, axis) => {
        if (times[axis] !== 1) copies.push(sizes.push(times[axis] as number) - 1);
        sizes.push(size);
      });
      return [tf.reshape(tf.sum(tf.reshape(dy, sizes), copies), shape)];
    },
  });
}

/** `x` with its axes of size 1 repeated up to `shape`, which has as many axes. */
export function broadcast(tf: TF, x: Tensor, shape: number[]): Tensor {
  const times = shape.map((size, axis) => (x.shape[axis] === size ? 1 : size));
  return times.every((count) => count === 1) ? x : tile(tf, x, times);
}
