/**
 * A tensor as the graph sees it: PyTorch's axis order over whatever order TensorFlow keeps it in. Transposes and permutes
 * only change `order`, so an image stays channels-last in memory (what TensorFlow's kernels want) while the graph speaks
 * of NCHW, and a transposed matrix goes into a matrix product as a flag. Data is moved only where an operator needs it.
 */
import type { Tensor } from '@tensorflow/tfjs-core';

/** TensorFlow.js, as loaded in the child; a type alone, so nothing here loads it. */
export type TF = typeof import('@tensorflow/tfjs-core');

export interface Value {
  tensor: Tensor;
  /** order[i] is the tensor's axis that holds the graph's axis i. */
  order: number[];
}

/** N, C, H, W kept as N, H, W, C. */
export const CHANNELS_LAST = [0, 3, 1, 2];
/** A filter's O, I, H, W kept as H, W, I, O. */
export const FILTER = [3, 2, 0, 1];

export function identity(rank: number): number[] {
  return Array.from({ length: rank }, (_, axis) => axis);
}

/** A tensor whose own axis order is the graph's. */
export function plainValue(tensor: Tensor): Value {
  return { tensor, order: identity(tensor.rank) };
}

/** Sizes in the graph's axis order. */
export function shapeOf(value: Value): number[] {
  return value.order.map((axis) => value.tensor.shape[axis] as number);
}

export function isPlain(value: Value): boolean {
  return value.order.every((axis, at) => axis === at);
}

/** The tensor with its axes in the given order; transposes it where they are not. */
export function arrange(tf: TF, value: Value, order: readonly number[]): Tensor {
  if (order.every((axis, at) => axis === value.order[at])) return value.tensor;
  const moved: number[] = [];
  order.forEach((axis, at) => {
    moved[axis] = value.order[at] as number;
  });
  // Where only axes of size 1 change place the data is already right.
  const wide = moved.filter((axis) => value.tensor.shape[axis] !== 1);
  if (wide.every((axis, at) => at === 0 || axis > (wide[at - 1] as number))) {
    return tf.reshape(
      value.tensor,
      moved.map((axis) => value.tensor.shape[axis] as number),
    );
  }
  return tf.transpose(value.tensor, moved);
}

/** The tensor with its axes in the graph's order. */
export function plain(tf: TF, value: Value): Tensor {
  return arrange(tf, value, identity(value.order.length));
}

/** The graph's axes in a new sequence; moves no data. */
export function permute(value: Value, axes: readonly number[]): Value {
  return { tensor: value.tensor, order: axes.map((axis) => value.order[axis] as number) };
}

/** Another shape with the same elements. Moves no data where every run of merged axes lies together in memory. */
export function reshape(tf: TF, value: Value, shape: number[]): Value {
  const groups = matchAxes(shapeOf(value), shape);
  const starts = groups.map((group) => contiguousAt(value, group.from));
  if (starts.some((start) => start === null)) return plainValue(tf.reshape(plain(tf, value), shape));
  const inMemory = groups.map((group, at) => ({ group, start: starts[at] as number })).sort((a, b) => a.start - b.start);
  const order: number[] = [];
  const sizes: number[] = [];
  for (const { group } of inMemory) {
    for (const axis of group.to) {
      order[axis] = sizes.length;
      sizes.push(shape[axis] as number);
    }
  }
  return { tensor: tf.reshape(value.tensor, sizes), order };
}

/** Removes an axis of size 1, given in the graph's order. */
export function dropAxis(tf: TF, value: Value, axis: number): Value {
  const gone = value.order[axis] as number;
  const order = value.order.filter((_, at) => at !== axis).map((at) => (at > gone ? at - 1 : at));
  return {
    tensor: tf.reshape(
      value.tensor,
      value.tensor.shape.filter((_, at) => at !== gone),
    ),
    order,
  };
}

/** Adds an axis of size 1 before the graph's axis `axis`. */
export function insertAxis(tf: TF, value: Value, axis: number): Value {
  const place = axis < value.order.length ? (value.order[axis] as number) : value.tensor.rank;
  const order = value.order.map((at) => (at >= place ? at + 1 : at));
  order.splice(axis, 0, place);
  const sizes = [...value.tensor.shape];
  sizes.splice(place, 0, 1);
  return { tensor: tf.reshape(value.tensor, sizes), order };
}

/** Brings values to one rank and one order for an element-wise operator: that of the largest among those of full rank. */
export function align(tf: TF, values: Value[]): { tensors: Tensor[]; order: number[] } {
  const rank = Math.max(...values.map((value) => value.order.length));
  const full = values.filter((value) => value.order.length === rank);
  const model = full.reduce((best, value) => (value.tensor.size > best.tensor.size ? value : best));
  const tensors = values.map((value) => {
    if (value.tensor.rank === 0) return value.tensor;
    const missing = rank - value.order.length;
    if (missing === 0) return arrange(tf, value, model.order);
    const padded = plainValue(tf.reshape(plain(tf, value), [...Array(missing).fill(1), ...shapeOf(value)]));
    return arrange(tf, padded, model.order);
  });
  return { tensors, order: model.order };
}

interface AxisGroup {
  from: number[];
  to: number[];
}

/** The smallest groups of old and new axes that hold the same elements. */
function matchAxes(from: number[], to: number[]): AxisGroup[] {
  const groups: AxisGroup[] = [];
  let [i, j] = [0, 0];
  while (i < from.length || j < to.length) {
    const group: AxisGroup = { from: [], to: [] };
    let [left, right] = [1, 1];
    do {
      if (i < from.length && (left <= right || j >= to.length)) {
        left *= from[i] as number;
        group.from.push(i++);
      } else {
        right *= to[j] as number;
        group.to.push(j++);
      }
    } while (left !== right && (i < from.length || j < to.length));
    groups.push(group);
  }
  return groups;
}

/** Where a run of the graph's axes lies in memory, or null when it is torn apart. Axes of size 1 lie anywhere. */
function contiguousAt(value: Value, axes: number[]): number | null {
  const places = axes.map((axis) => value.order[axis] as number).filter((at) => value.tensor.shape[at] !== 1);
  if (places.length === 0) return axes.length > 0 ? (value.order[axes[0] as number] as number) : value.tensor.rank;
  for (let at = 1; at < places.length; at++) {
    for (let between = (places[at - 1] as number) + 1; between < (places[at] as number); between++) {
      if (value.tensor.shape[between] !== 1) return null;
    }
    if ((places[at] as number) < (places[at - 1] as number)) return null;
  }
  return places[0] as number;
}
