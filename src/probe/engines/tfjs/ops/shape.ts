/** Views, joins and cuts. Permutes and transposes move no data; cuts and joins work on the axis as it lies in memory. */
import type { Tensor } from '@tensorflow/tfjs-core';
import { broadcast, tile } from '../broadcast.js';
import { type Call, inferShape, type Operation } from '../call.js';
import { align, dropAxis, identity, insertAxis, permute, plain, plainValue, reshape, shapeOf, type TF, type Value } from '../value.js';

/** The largest 64-bit integer is PyTorch's "to the end". */
function clampIndex(index: number, size: number): number {
  return Math.min(Math.max(index < 0 ? index + size : index, 0), size);
}

/** The elements start (inclusive) to end (exclusive) of the graph's axis. */
function cut(tf: TF, value: Value, axis: number, start: number, end: number): Value {
  const place = value.order[axis] as number;
  const { shape } = value.tensor;
  if (start === 0 && end === shape[place]) return value;
  const begin = shape.map((_, at) => (at === place ? start : 0));
  const size = shape.map((length, at) => (at === place ? Math.max(end - start, 0) : length));
  return { tensor: tf.slice(value.tensor, begin, size), order: value.order };
}

const view: Operation = (call) => {
  const input = call.value(0);
  return reshape(call.tf, input, inferShape(input, call.numbers(1)));
};

/** aten.flatten(input, start_dim, end_dim). */
const flatten: Operation = (call) => {
  const input = call.value(0);
  const shape = shapeOf(input);
  if (shape.length === 0) return reshape(call.tf, input, [1]);
  const [start, end] = [call.axis(1, shape.length, 0), call.axis(2, shape.length, -1)];
  const merged = shape.slice(start, end + 1).reduce((product, size) => product * size, 1);
  return reshape(call.tf, input, [...shape.slice(0, start), merged, ...shape.slice(end + 1)]);
};

/** aten.unflatten.int(input, dim, sizes). */
const unflatten: Operation = (call) => {
  const input = call.value(0);
  const shape = shapeOf(input);
  const axis = call.axis(1, shape.length);
  const sizes = call.numbers(2);
  const known = sizes.reduce((product, size) => (size === -1 ? product : product * size), 1);
  const filled = sizes.map((size) => (size === -1 ? (shape[axis] as number) / known : size));
  return reshape(call.tf, input, [...shape.slice(0, axis), ...filled, ...shape.slice(axis + 1)]);
};

function swap(value: Value, first: number, second: number): Value {
  const axes = identity(value.order.length);
  [axes[first], axes[second]] = [second, first];
  return permute(value, axes);
}

const transpose: Operation = (call) => {
  const input = call.value(0);
  const rank = input.order.length;
  return swap(input, call.axis(1, rank), call.axis(2, rank));
};

const squeeze: Operation = (call) => {
  const input = call.value(0);
  const shape = shapeOf(input);
  const axes = call.has(1) ? call.numbers(1).map((axis) => (axis < 0 ? axis + shape.length : axis)) : identity(shape.length);
  return axes
    .filter((axis) => shape[axis] === 1)
    .sort((a, b) => b - a)
    .reduce((value, axis) => dropAxis(call.tf, value, axis), input);
};

/** Repeats axes of size 1; -1 keeps an axis. Unlike PyTorch's view this makes the copies. */
function expandTo(tf: TF, value: Value, target: number[]): Value {
  const shape = shapeOf(value);
  const missing = target.length - shape.length;
  const sizes = target.map((size, at) => (size === -1 ? (shape[at - missing] as number) : size));
  if (missing === 0 && sizes.every((size, at) => size === shape[at])) return value;
  const padded = tf.reshape(plain(tf, value), [...Array(missing).fill(1), ...shape]);
  return plainValue(broadcast(tf, padded, sizes));
}

const cat: Operation = (call) => {
  const values = call.values(0).filter((value): value is Value => value !== null && value.tensor.size > 0);
  const first = values[0] ?? call.fail('nothing to join');
  const axis = call.axis(1, first.order.length, 0);
  const { tensors, order } = align(call.tf, values);
  return { tensor: call.tf.concat(tensors as [Tensor, ...Tensor[]], order[axis] as number), order };
};

const stack: Operation = (call) => {
  const values = call.values(0).map((value) => value ?? call.fail('a part is missing'));
  const axis = call.axis(1, (values[0]?.order.length ?? 0) + 1, 0);
  const { tensors, order } = align(
    call.tf,
    values.map((value) => insertAxis(call.tf, value, axis)),
  );
  return { tensor: call.tf.concat(tensors as [Tensor, ...Tensor[]], order[axis] as number), order };
};

function parts(call: Call, axis: number, sizes: number[]): Value[] {
  const input = call.value(0);
  let start = 0;
  return sizes.map((size) => {
    start += size;
    return cut(call.tf, input, axis, start - size, start);
  });
}

/** aten.split(input, size or sizes, dim). */
const split: Operation = (call) => {
  const shape = shapeOf(call.value(0));
  const axis = call.axis(2, shape.length, 0);
  const total = shape[axis] as number;
  const sizes = call.numbers(1);
  if (Array.isArray(call.node.args[1])) return parts(call, axis, sizes);
  return parts(call, axis, evenSizes(total, sizes[0] as number));
};

/** aten.chunk(input, chunks, dim): equal parts, the last one may be smaller. */
const chunk: Operation = (call) => {
  const shape = shapeOf(call.value(0));
  const axis = call.axis(2, shape.length, 0);
  const total = shape[axis] as number;
  return parts(call, axis, evenSizes(total, Math.ceil(total / call.number(1))));
};

function evenSizes(total: number, size: number): number[] {
  return Array.from({ length: Math.ceil(total / size) }, (_, at) => Math.min(size, total - at * size));
}

const unbind: Operation = (call) => {
  const input = call.value(0);
  const shape = shapeOf(input);
  const axis = call.axis(1, shape.length, 0);
  return identity(shape[axis] as number).map((at) => dropAxis(call.tf, cut(call.tf, input, axis, at, at + 1), axis));
};

/** aten.slice(input, dim, start, end, step). */
const slice: Operation = (call) => {
  const input = call.value(0);
  const shape = shapeOf(input);
  const axis = call.axis(1, shape.length, 0);
  const size = shape[axis] as number;
  const start = clampIndex(call.number(2, 0), size);
  const end = clampIndex(call.number(3, size), size);
  const step = call.number(4, 1);
  if (step === 1) return cut(call.tf, input, axis, start, end);
  const indices = call.tf.range(start, end, step, 'int32');
  return { tensor: call.tf.gather(input.tensor, indices, input.order[axis] as number), order: input.order };
};

const select: Operation = (call) => {
  const input = call.value(0);
  const shape = shapeOf(input);
  const axis = call.axis(1, shape.length);
  const index = clampIndex(call.number(2), shape[axis] as number);
  return dropAxis(call.tf, cut(call.tf, input, axis, index, index + 1), axis);
};

const narrow: Operation = (call) => {
  const input = call.value(0);
  const axis = call.axis(1, input.order.length);
  return cut(call.tf, input, axis, call.number(2), call.number(2) + call.number(3));
};

/** aten.roll(input, shifts, dims). */
const roll: Operation = (call) => {
  const axes = call.numbers(2);
  const shifts = call.numbers(1);
  if (axes.length !== shifts.length) call.fail('only with one axis for each shift');
  return axes.reduce((value, given, at) => {
    const axis = given < 0 ? given + value.order.length : given;
    const size = shapeOf(value)[axis] as number;
    const point = (((-(shifts[at] as number) % size) + size) % size) as number;
    if (point === 0) return value;
    const [head, tail] = [cut(call.tf, value, axis, 0, point), cut(call.tf, value, axis, point, size)];
    return { tensor: call.tf.concat([tail.tensor, head.tensor], value.order[axis] as number), order: value.order };
  }, call.value(0));
};

/** aten.pad and aten.constant_pad_nd: the list begins with the last axis, (before, after) each. */
const pad: Operation = (call) => {
  const input = call.value(0);
  const rank = input.order.length;
  const amounts = call.numbers(1);
  const named = call.node.op.startsWith('aten.pad');
  if (named && call.text(2, 'constant') !== 'constant') call.fail(`only with constants, found mode "${call.text(2)}"`);
  const paddings = input.tensor.shape.map((): [number, number] => [0, 0]);
  for (let at = 0; at * 2 < amounts.length; at++) {
    const place = input.order[rank - 1 - at] as number;
    paddings[place] = [amounts[at * 2] as number, amounts[at * 2 + 1] as number];
  }
  if (paddings.flat().some((amount) => amount < 0)) call.fail('negative padding');
  return { tensor: call.tf.pad(input.tensor, paddings, call.number(named ? 3 : 2, 0)), order: input.order };
};

const repeat: Operation = (call) => {
  const times = call.numbers(1);
  const shape = shapeOf(call.value(0));
  const padded = call.tf.reshape(call.tensor(0), [...Array(Math.max(times.length - shape.length, 0)).fill(1), ...shape]);
  return plainValue(tile(call.tf, padded, [...Array(Math.max(shape.length - times.length, 0)).fill(1), ...times]));
};

/** aten.repeat_interleave.self_int(input, repeats, dim): each element several times in a row. */
const repeatInterleave: Operation = (call) => {
  const { tf } = call;
  const x = call.tensor(0);
  if (!call.has(2)) return call.fail('only along an axis');
  const [times, axis] = [call.number(1), call.axis(2, x.rank)];
  const wider = tf.expandDims(x, axis + 1);
  const copies = tile(
    tf,
    wider,
    wider.shape.map((_, at) => (at === axis + 1 ? times : 1)),
  );
  return plainValue(
    tf.reshape(
      copies,
      x.shape.map((size, at) => (at === axis ? size * times : size)),
    ),
  );
};

const same: Operation = (call) => call.value(0);

export const shapes: Record<string, Operation> = {
  view,
  reshape: view,
  _unsafe_view: view,
  reshape_as: (call) => reshape(call.tf, call.value(0), shapeOf(call.value(1))),
  view_as: (call) => reshape(call.tf, call.value(0), shapeOf(call.value(1))),
  flatten,
  unflatten,
  permute: (call) =>
    permute(
      call.value(0),
      call.numbers(1).map((axis) => (axis < 0 ? axis + call.value(0).order.length : axis)),
    ),
  transpose,
  swapaxes: transpose,
  t: (call) => (call.value(0).order.length < 2 ? call.value(0) : swap(call.value(0), 0, 1)),
  unsqueeze: (call) => insertAxis(call.tf, call.value(0), call.axis(1, call.value(0).order.length + 1)),
  squeeze,
  expand: (call) => expandTo(call.tf, call.value(0), call.numbers(1)),
  expand_as: (call) => expandTo(call.tf, call.value(0), shapeOf(call.value(1))),
  cat,
  concat: cat,
  stack,
  split,
  split_with_sizes: split,
  chunk,
  unbind,
  slice,
  select,
  narrow,
  roll,
  flip: (call) => {
    const input = call.value(0);
    const axes = call.numbers(1).map((axis) => input.order[axis < 0 ? axis + input.order.length : axis] as number);
    return { tensor: call.tf.reverse(input.tensor, axes), order: input.order };
  },
  pad,
  constant_pad_nd: pad,
  repeat,
  tile: repeat,
  'repeat_interleave.self_int': repeatInterleave,
  contiguous: same,
  clone: same,
  alias: same,
  lift_fresh_copy: same,
  lift_fresh: same,
};
