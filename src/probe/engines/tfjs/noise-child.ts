/** Squared gradient norms of small batches and of their mean, at one point of training. */
import { readFileSync } from 'node:fs';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { NoiseLine, NoiseOrder, StoredArray } from '../../noise/order.js';
import { UnsupportedError } from './call.js';
import { firstWeights } from './first-weights.js';
import { toTfDtype } from './ops/pointwise.js';
import { makeOptimizer } from './optimizer.js';
import type { TrainingOrder } from './order.js';
import { prepareTrainer, type Trainer } from './training.js';
import { plainValue, type TF } from './value.js';

type Gradients = Record<string, Tensor>;

export function measureNoise(
  tf: TF,
  { graph, setup, sizes }: TrainingOrder,
  noise: NoiseOrder,
  onPhase: (phase: string) => void,
  onLine: (line: NoiseLine) => void,
): void {
  const { smallBatch, parts, updates, trainSteps, learningRate } = noise;
  const trainer = prepareTrainer(tf, graph, setup, sizes, firstWeights(graph, noise.seed));
  const optimizer = makeOptimizer(tf, setup.optimizer, learningRate);
  const next = loadBatches(tf, trainer, graph.inputs, noise, smallBatch);
  for (let step = 1; step <= trainSteps; step++) {
    if (step === 1) onPhase('training step 1');
    next();
    const { value, grads } = trainer.gradients();
    finiteLoss(value, `training step ${step}`);
    optimizer.step(trainer.state.trainable, grads);
    tf.dispose(grads);
  }
  for (let update = 1; update <= updates; update++) {
    if (update === 1) onPhase('gradient norms');
    onLine(measureUpdate(tf, trainer, parts, next, `big batch ${update}`));
  }
}

function measureUpdate(tf: TF, trainer: Trainer, parts: number, next: () => void, name: string): NoiseLine {
  const microSqNorms: number[] = [];
  let sum: Gradients = {};
  let loss = 0;
  for (let part = 0; part < parts; part++) {
    next();
    const { value, grads } = trainer.gradients();
    loss += finiteLoss(value, name) / parts;
    microSqNorms.push(squaredNorm(tf, grads));
    sum = part === 0 ? grads : add(tf, sum, grads);
  }
  const meanSqNorm = squaredNorm(tf, sum) / parts ** 2;
  tf.dispose(sum);
  return { schema: 'batchfit/noise-sample@1', microSqNorms, meanSqNorm, loss };
}

function finiteLoss(value: Tensor, where: string): number {
  const loss = value.dataSync()[0] as number;
  value.dispose();
  if (!Number.isFinite(loss))
    throw new UnsupportedError(`the loss is ${loss} in ${where}: take a smaller --learning-rate, or check the data`);
  return loss;
}

function squaredNorm(tf: TF, gradients: Gradients): number {
  return Object.values(gradients).reduce((sum, gradient) => sum + (tf.tidy(() => tf.sum(tf.square(gradient))).dataSync()[0] as number), 0);
}

function add(tf: TF, sum: Gradients, more: Gradients): Gradients {
  const added: Gradients = {};
  for (const [name, gradient] of Object.entries(sum)) added[name] = tf.add(gradient, more[name] as Tensor);
  tf.dispose(sum);
  tf.dispose(more);
  return added;
}

/** Puts the next small batch in the place of the made-up one, each time it is called. */
function loadBatches(
  tf: TF,
  { state }: Trainer,
  inputs: TrainingOrder['graph']['inputs'],
  { data }: NoiseOrder,
  smallBatch: number,
): () => void {
  if (data.kind !== 'arrays') throw new UnsupportedError('the tfjs engine cannot call Python');
  const draws = numbersIn(data.draws, 'int32');
  const sources = inputs.map(({ name, dtype }) => {
    const array = data.arrays.find((each) => each.name === name) as StoredArray;
    return { name, dtype: toTfDtype(dtype), shape: array.shape.slice(1), numbers: numbersIn(array.path, array.dtype) };
  });
  let at = 0;
  return () => {
    const samples = draws.subarray(at, at + smallBatch);
    at += smallBatch;
    for (const { name, dtype, shape, numbers } of sources) {
      const size = shape.reduce((product, each) => product * each, 1);
      const batch = numbers instanceof Int32Array ? new Int32Array(smallBatch * size) : new Float32Array(smallBatch * size);
      samples.forEach((sample, place) => {
        batch.set(numbers.subarray(sample * size, (sample + 1) * size), place * size);
      });
      state.values.get(name)?.tensor.dispose();
      state.values.set(name, plainValue(tf.tidy(() => tf.cast(tf.tensor(batch, [smallBatch, ...shape]), dtype))));
    }
  };
}

function numbersIn(path: string, dtype: StoredArray['dtype']): Float32Array | Int32Array {
  const { buffer, byteOffset, byteLength } = readFileSync(path);
  const bytes = buffer.slice(byteOffset, byteOffset + byteLength);
  return dtype === 'int32' ? new Int32Array(bytes) : new Float32Array(bytes);
}
