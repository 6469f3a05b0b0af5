/** Embeddings and other look-ups by index. */
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { Operation } from '../call.js';
import { withGradient } from '../gradient.js';
import { identity, permute, plain, plainValue, shapeOf, type Value } from '../value.js';

/** aten.embedding(weight, indices, padding_idx): no gradient reaches the row of the padding index. */
const embedding: Operation = (call) => {
  const { tf } = call;
  const weight = call.tensor(0) as Tensor2D;
  const indices = call.tensor(1);
  const padding = call.number(2, -1);
  if (call.flag(3)) call.fail('scale_grad_by_freq');
  const flat = tf.cast(tf.reshape(indices, [-1]), 'int32') as Tensor1D;
  const [rows, width] = weight.shape;
  const found = withGradient(tf, [weight], {
    forward: (table) => ({ value: tf.gather(table as Tensor2D, flat), saved: [flat] }),
    backward: (dy, saved) => {
      const at = saved[0] as Tensor1D;
      const counted = padding < 0 ? dy : tf.mul(dy, tf.expandDims(tf.cast(tf.notEqual(at, tf.scalar(padding, 'int32')), 'float32'), 1));
      return [tf.unsortedSegmentSum(counted as Tensor2D, at, rows)];
    },
  });
  return plainValue(tf.reshape(found, [...indices.shape, width]));
};

/** aten.index_select(input, dim, index). */
const indexSelect: Operation = (call) => {
  const input = call.value(0);
  const axis = call.axis(1, input.order.length);
  const indices = call.tf.cast(call.tensor(2), 'int32') as Tensor1D;
  return { tensor: call.tf.gather(input.tensor, indices, input.order[axis] as number), order: input.order };
};

/** aten.index.Tensor(input, indices): one index tensor along one axis. */
const index: Operation = (call) => {
  const { tf } = call;
  const given = call.values(1);
  const used = given.flatMap((value, axis) => (value ? [{ value, axis }] : []));
  const [only] = used;
  if (!only || used.length > 1) return call.fail('only with one index tensor');
  const indices = plain(tf, only.value);
  if (indices.dtype === 'bool') call.fail('only with whole numbers as indices, found truth values');
  return plainValue(tf.gather(call.tensor(0), tf.cast(indices, 'int32'), only.axis));
};

/** aten.gather(input, dim, index): out[..., j, ...] = input[..., index[..., j, ...], ...]. */
const gather: Operation = (call) => {
  const { tf } = call;
  const input = call.value(0);
  const rank = input.order.length;
  const axis = call.axis(1, rank);
  const last = [...identity(rank).filter((at) => at !== axis), axis];
  const table = plain(tf, permute(input, last));
  const indices = plain(tf, permute(call.value(2), last));
  const outer = table.shape.slice(0, -1);
  if (outer.some((size, at) => size !== indices.shape[at])) call.fail('only where input and index agree on the other axes');
  const count = outer.reduce((product, size) => product * size, 1);
  const [size, picks] = [table.shape.at(-1) as number, indices.shape.at(-1) as number];
  const rows = tf.reshape(tf.mul(tf.range(0, count, 1, 'int32'), tf.scalar(size, 'int32')), [count, 1]);
  const flat = tf.reshape(tf.add(tf.cast(tf.reshape(indices, [count, picks]), 'int32'), rows), [-1]) as Tensor1D;
  const picked = tf.reshape(tf.gather(tf.reshape(table, [-1]), flat), indices.shape);
  const back: number[] = [];
  last.forEach((at, place) => {
    back[at] = place;
  });
  return permute(plainValue(picked), back);
};

const oneHot: Operation = (call) => {
  const indices = call.tf.cast(call.tensor(0), 'int32');
  const classes = call.number(1, -1);
  if (classes < 0) call.fail('the number of classes must be given');
  return plainValue(call.tf.cast(call.tf.oneHot(indices, classes), 'int32'));
};

export const lookups: Record<string, Operation> = { embedding, index_select: indexSelect, index, gather, one_hot: oneHot };

/** The value with one of its axes moved to the end. */
export function lastAxis(value: Value, axis: number): Value {
  const rank = shapeOf(value).length;
  return permute(value, [...identity(rank).filter((at) => at !== axis), axis]);
}
