/** Random numbers. TensorFlow's own kernels draw them in native memory; the pure JS backend draws them in JavaScript. */
import type { Tensor } from '@tensorflow/tfjs-core';
import type { TF } from './value.js';

/** The native backend's way to run a TensorFlow kernel that TensorFlow.js has no function for. */
interface NativeBackend {
  binding: { TF_ATTR_TYPE: number; TF_ATTR_INT: number; TF_FLOAT: number; TF_INT32: number };
  executeSingleOutput(name: string, attributes: { name: string; type: number; value: number }[], inputs: Tensor[]): Tensor;
}

/** Uniform in [0, 1). */
export function uniform(tf: TF, shape: number[]): Tensor {
  return draw(tf, 'RandomUniform', shape) ?? tf.randomUniform(shape);
}

/** Normal with mean 0 and the given standard deviation. */
export function normal(tf: TF, shape: number[], deviation: number): Tensor {
  return tf.tidy(() => {
    const native = draw(tf, 'RandomStandardNormal', shape);
    return native ? tf.mul(native, deviation) : tf.randomNormal(shape, 0, deviation);
  });
}

/** Integers in [0, high). */
export function integers(tf: TF, shape: number[], high: number): Tensor {
  return tf.tidy(() => {
    const numbers = tf.floor(tf.mul(uniform(tf, shape), high));
    // A uniform number just below 1 may round up to `high` in float32.
    return tf.cast(tf.clipByValue(numbers, 0, high - 1), 'int32');
  });
}

let seed = 1;

function draw(tf: TF, kernel: string, shape: number[]): Tensor | null {
  if (tf.getBackend() !== 'tensorflow') return null;
  const backend = tf.backend() as unknown as NativeBackend;
  const { binding } = backend;
  const sizes = tf.tensor1d(shape, 'int32');
  const attributes = [
    { name: 'dtype', type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT },
    { name: 'T', type: binding.TF_ATTR_TYPE, value: binding.TF_INT32 },
    { name: 'seed', type: binding.TF_ATTR_INT, value: 1 },
    { name: 'seed2', type: binding.TF_ATTR_INT, value: seed++ },
  ];
  const drawn = backend.executeSingleOutput(kernel, attributes, [sizes]);
  sizes.dispose();
  return drawn;
}
