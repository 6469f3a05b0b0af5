/** Images at another size. Each axis is a product with a matrix of weights, which has a gradient on every backend. */
import type { Tensor } from '@tensorflow/tfjs-core';
import type { Call, Operation } from '../call.js';
import { arrange, CHANNELS_LAST, shapeOf, type TF, type Value } from '../value.js';

/** weights[out][in] of one axis. */
export type Weights = number[][];

/** The image with its rows and columns mixed by two matrices. */
export function resample(tf: TF, input: Value, rows: Weights, columns: Weights): Value {
  const [batch, channels, height, width] = shapeOf(input) as [number, number, number, number];
  const byRows = tf.reshape(arrange(tf, input, CHANNELS_LAST), [batch, height, width * channels]);
  const pooledRows = tf.matMul(repeat(tf, rows, batch), byRows);
  const byColumns = tf.reshape(pooledRows, [batch * rows.length, width, channels]);
  const pooled = tf.matMul(repeat(tf, columns, batch * rows.length), byColumns);
  return { tensor: tf.reshape(pooled, [batch, rows.length, columns.length, channels]), order: CHANNELS_LAST };
}

function repeat(tf: TF, weights: Weights, times: number): Tensor {
  return tf.tile(tf.expandDims(tf.tensor2d(weights), 0), [times, 1, 1]);
}

/** Weight of a sample at a distance from the point that is asked for. */
type Kernel = (distance: number) => number;

const linear: Kernel = (distance) => Math.max(1 - Math.abs(distance), 0);

/** Cubic convolution with a = -0.75, as PyTorch has it (Keys, 1981). */
const cubic: Kernel = (distance) => {
  const [x, a] = [Math.abs(distance), -0.75];
  if (x <= 1) return (a + 2) * x ** 3 - (a + 3) * x ** 2 + 1;
  return x < 2 ? a * x ** 3 - 5 * a * x ** 2 + 8 * a * x - 4 * a : 0;
};

/** One axis to be resampled; `ratio` is input samples per output sample. */
interface Axis {
  size: number;
  out: number;
  ratio: number;
}

/** Samples beyond the border are those at the border. */
function interpolation({ size, out, ratio }: Axis, alignCorners: boolean, kernel: Kernel, reach: number): Weights {
  return Array.from({ length: out }, (_, at) => {
    const corner = out > 1 ? (at * (size - 1)) / (out - 1) : 0;
    const middle = (at + 0.5) * ratio - 0.5;
    const point = alignCorners ? corner : reach === 1 ? Math.max(middle, 0) : middle;
    const weights = Array<number>(size).fill(0);
    for (let sample = Math.floor(point) - reach + 1; sample <= Math.floor(point) + reach; sample++) {
      const inside = Math.min(Math.max(sample, 0), size - 1);
      weights[inside] = (weights[inside] as number) + kernel(point - sample);
    }
    return weights;
  });
}

function nearest({ size, out, ratio }: Axis): Weights {
  return Array.from({ length: out }, (_, at) => {
    const weights = Array<number>(size).fill(0);
    weights[Math.min(Math.floor(at * ratio), size - 1)] = 1;
    return weights;
  });
}

/** aten.upsample_*.vec(input, output_size, [align_corners,] scale_factors): a factor that is given counts as it is. */
function upsample(weightsOf: (axis: Axis, call: Call) => Weights, factorsAt: number): Operation {
  return (call) => {
    const input = call.value(0);
    const wanted = call.has(1) ? call.pair(1, 1) : null;
    const factors = call.has(factorsAt) ? call.numbers(factorsAt) : [];
    const [rows, columns] = shapeOf(input)
      .slice(2)
      .map((size, at) => {
        const factor = factors[at];
        const out = wanted?.[at] ?? Math.floor(size * (factor ?? 1));
        return weightsOf({ size, out, ratio: factor === undefined ? size / out : 1 / factor }, call);
      });
    return resample(call.tf, input, rows as Weights, columns as Weights);
  };
}

export const resampling: Record<string, Operation> = {
  upsample_nearest2d: upsample(nearest, 2),
  upsample_bilinear2d: upsample((axis, call) => interpolation(axis, call.flag(2), linear, 1), 3),
  upsample_bicubic2d: upsample((axis, call) => interpolation(axis, call.flag(2), cubic, 2), 3),
};
