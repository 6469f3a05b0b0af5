/** Operators with a gradient of their own, which keeps less than TensorFlow.js would for the written-out form. */
import type { Tensor } from '@tensorflow/tfjs-core';
import type { TF } from './value.js';

export interface OwnGradient {
  forward(...inputs: Tensor[]): {
    value: Tensor;
    /** What the backward pass needs. */
    saved: Tensor[];
  };
  /** Gradients of all inputs, in their order. */
  backward(dy: Tensor, saved: Tensor[]): Tensor[];
}

export function withGradient(tf: TF, inputs: Tensor[], { forward, backward }: OwnGradient): Tensor {
  const apply = tf.customGrad((...given) => {
    const save = given.pop() as unknown as (tensors: Tensor[]) => void;
    const { value, saved } = forward(...(given as Tensor[]));
    save(saved);
    // Unlike its own gradients, TensorFlow.js keeps everything that a custom one makes until the whole pass is done; and
    // it disposes of a gradient that it adds another one to, so dy itself must not be one of the results.
    const gradFunc = (dy: Tensor, kept: Tensor[]) =>
      tf.tidy(() => backward(dy, kept).map((gradient) => (gradient === dy ? tf.clone(dy) : gradient)));
    return { value, gradFunc };
  });
  return apply(...inputs);
}

/** The same numbers, through which no gradient flows. */
export function stopGradient(tf: TF, x: Tensor): Tensor {
  if (x.dtype !== 'float32') return x;
  return withGradient(tf, [x], {
    forward: (input) => ({ value: tf.clone(input as Tensor), saved: [] }),
    backward: (dy) => [tf.zerosLike(dy)],
  });
}
