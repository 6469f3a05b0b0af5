/** Values in another order than in memory behave as if they had been moved. */
import { beforeAll, expect, it } from 'vitest';
import type { LoadedEngine } from '../../../src/probe/engines/tfjs/load.js';
import {
  align,
  dropAxis,
  insertAxis,
  permute,
  plain,
  plainValue,
  reshape,
  shapeOf,
  type Value,
} from '../../../src/probe/engines/tfjs/value.js';
import { loadNativeEngine } from './engine.js';

let engine: LoadedEngine;
beforeAll(async () => {
  engine = await loadNativeEngine();
});

/** A small generator, so that every run tries the same cases. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    return Math.floor((state / 2 ** 31) * below);
  };
}

function shuffled(length: number, next: (below: number) => number): number[] {
  const axes = Array.from({ length }, (_, at) => at);
  for (let at = length - 1; at > 0; at--) {
    const other = next(at + 1);
    [axes[at], axes[other]] = [axes[other]!, axes[at]!];
  }
  return axes;
}

const numbers = (value: Value) => [...engine.tf.tidy(() => plain(engine.tf, value)).dataSync()];

it('keeps the order of elements through any permutes and reshapes', () => {
  const { tf } = engine;
  const shapes = [[2, 3, 4, 5], [6, 20], [24, 5], [2, 60], [120], [2, 1, 12, 5], [4, 3, 1, 10], [2, 3, 2, 2, 5], [1, 30, 4]];
  const next = generator(7);
  for (let trial = 0; trial < 150; trial++) {
    let lazy = plainValue(tf.range(0, 120));
    let moved = lazy;
    for (let step = 0; step < 4; step++) {
      const shape = shapes[next(shapes.length)]!;
      lazy = reshape(tf, lazy, shape);
      moved = plainValue(tf.reshape(moved.tensor, shape));
      const axes = shuffled(shape.length, next);
      lazy = permute(lazy, axes);
      moved = plainValue(tf.transpose(moved.tensor, axes));
    }
    expect(shapeOf(lazy)).toEqual(moved.tensor.shape);
    expect(numbers(lazy)).toEqual([...moved.tensor.dataSync()]);
  }
});

it('moves no data to merge axes that lie together', () => {
  const { tf } = engine;
  const image = { tensor: tf.zeros([2, 3, 4, 5]), order: [0, 3, 1, 2] };
  expect(reshape(tf, image, [2, 5, 12])).toMatchObject({ order: [0, 2, 1] });
  expect(reshape(tf, image, [10, 12])).toMatchObject({ order: [0, 1] });
  expect(reshape(tf, { tensor: tf.zeros([2, 1, 1, 5]), order: [0, 3, 1, 2] }, [2, 5])).toMatchObject({ order: [0, 1] });
});

it('adds and drops axes where the graph has them', () => {
  const { tf } = engine;
  const value = permute(plainValue(tf.reshape(tf.range(0, 6), [2, 3])), [1, 0]);
  for (const axis of [0, 1, 2]) {
    const wider = insertAxis(tf, value, axis);
    expect(shapeOf(wider)).toEqual(
      [
        [1, 3, 2],
        [3, 1, 2],
        [3, 2, 1],
      ][axis],
    );
    expect(numbers(wider)).toEqual(numbers(value));
    expect(numbers(dropAxis(tf, wider, axis))).toEqual(numbers(value));
  }
});

it('brings operands of an element-wise operator to one order', () => {
  const { tf } = engine;
  const image = { tensor: tf.reshape(tf.range(0, 24), [1, 2, 3, 4]), order: [0, 3, 1, 2] };
  const perChannel = plainValue(tf.reshape(tf.range(0, 4), [4, 1, 1]));
  const { tensors, order } = align(tf, [perChannel, image]);
  expect(order).toEqual([0, 3, 1, 2]);
  expect(tensors[0]!.shape).toEqual([1, 1, 1, 4]);
});
