/** What a step does beside gradients: optimizers, accumulation, clipping, held outputs, and nothing left over. */
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ModelGraph } from '../../../src/model/graph.js';
import { readModel } from '../../../src/model/open.js';
import type { LoadedEngine } from '../../../src/probe/engines/tfjs/load.js';
import { LEARNING_RATE } from '../../../src/probe/engines/tfjs/optimizer.js';
import { prepareTrainer, type Trainer } from '../../../src/probe/engines/tfjs/training.js';
import { DEFAULT_SETUP, type Setup } from '../../../src/setup.js';
import { loadNativeEngine } from './engine.js';

let engine: LoadedEngine;
let graph: ModelGraph;
beforeAll(async () => {
  engine = await loadNativeEngine();
  graph = await readModel('digits-mlp');
});
afterEach(() => engine.tf.disposeVariables());

const train = (setup: Partial<Setup>): Trainer => prepareTrainer(engine.tf, graph, { ...DEFAULT_SETUP, batch: 16, ...setup }, {});

/** The first weight and its gradient, as plain numbers. */
function firstWeight(trainer: Trainer): { name: string; weight: Float32Array; gradient: Float32Array } {
  const { value, grads } = trainer.gradients();
  const variable = trainer.state.trainable[0]!;
  const numbers = {
    name: variable.name,
    weight: variable.dataSync().slice() as Float32Array,
    gradient: grads[variable.name]!.dataSync().slice() as Float32Array,
  };
  engine.tf.dispose([value, grads] as never);
  return numbers;
}

function expectClose(found: ArrayLike<number>, expected: ArrayLike<number>, digits: number): void {
  for (let at = 0; at < expected.length; at += 97) expect(found[at]).toBeCloseTo(expected[at]!, digits);
}

describe('an optimizer step', () => {
  it.each(['sgd', 'momentum', 'nesterov', 'adam', 'adamw', 'rmsprop', 'adagrad'] as const)(
    'of %s lowers the loss and leaves no tensor',
    (optimizer) => {
      const trainer = train({ optimizer });
      const losses = [trainer.step(), trainer.step()];
      const tensors = engine.tf.memory().numTensors;
      for (let step = 0; step < 20; step++) losses.push(trainer.step());
      expect(engine.tf.memory().numTensors).toBe(tensors);
      expect(losses.at(-1)).toBeLessThan(losses[0]!);
    },
  );

  it('of sgd is weight - rate * gradient', () => {
    const trainer = train({ optimizer: 'sgd' });
    const { weight, gradient } = firstWeight(trainer);
    trainer.step();
    const expected = weight.map((value, at) => value - LEARNING_RATE * gradient[at]!);
    expectClose(trainer.state.trainable[0]!.dataSync(), expected, 7);
  });

  it('of adamw shrinks the weight by rate * 0.01 and moves it by the rate against the sign of its gradient at first', () => {
    const trainer = train({ optimizer: 'adamw' });
    const { weight, gradient } = firstWeight(trainer);
    trainer.step();
    const expected = weight.map(
      (value, at) => value * (1 - LEARNING_RATE * 0.01) - (LEARNING_RATE * gradient[at]!) / (Math.abs(gradient[at]!) + 1e-8),
    );
    expectClose(trainer.state.trainable[0]!.dataSync(), expected, 6);
  });

  it.each(['lion', 'lamb', 'adafactor', 'muon'] as const)('of %s is refused by name', (optimizer) => {
    expect(() => train({ optimizer })).toThrow(`TensorFlow.js has no optimizer ${optimizer}`);
  });
});

it('averages the gradients of accumulated micro batches', () => {
  const trainer = train({ optimizer: 'sgd', accumulation: 3 });
  const { weight, gradient } = firstWeight(trainer);
  trainer.step();
  // All micro batches hold the same data, so their mean is the gradient of one.
  const expected = weight.map((value, at) => value - LEARNING_RATE * gradient[at]!);
  expectClose(trainer.state.trainable[0]!.dataSync(), expected, 7);
});

it('scales all gradients to the maximum norm', () => {
  const trainer = train({ optimizer: 'sgd', clipGradNorm: 1e-3 });
  const { value, grads } = trainer.gradients();
  const squares = Object.values(grads).map((gradient) => (gradient.dataSync() as Float32Array).reduce((sum, x) => sum + x * x, 0));
  const norm = Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
  const { weight, gradient } = firstWeight(trainer);
  trainer.step();
  expect(norm).toBeGreaterThan(1e-3);
  const expected = weight.map((found, at) => found - LEARNING_RATE * gradient[at]! * (1e-3 / norm));
  expectClose(trainer.state.trainable[0]!.dataSync(), expected, 7);
  engine.tf.dispose([value, grads] as never);
});

it('holds the outputs of one step until the next, and no longer', () => {
  const logits = graph.nodes.at(-1)!.args[0] as string;
  const outputs = { ...graph, outputs: [logits.slice(1)] };
  const trainer = prepareTrainer(engine.tf, outputs, { ...DEFAULT_SETUP, batch: 16, optimizer: 'sgd', keepOutputs: true }, {});
  const before = engine.tf.memory().numTensors;
  trainer.step();
  expect(engine.tf.memory().numTensors).toBe(before + 1);
  trainer.step();
  expect(engine.tf.memory().numTensors).toBe(before + 1);
});
