/** Tensors made from sizes and constants. */
import type { Tensor } from '@tensorflow/tfjs-core';
import type { Call, Operation } from '../call.js';
import { plainValue, shapeOf, type Value } from '../value.js';
import { toTfDtype } from './pointwise.js';

type Fill = number | boolean;

function filled(call: Call, shape: number[], fill: Fill, dtype: 'float32' | 'int32' | 'bool'): Value {
  return plainValue(call.tf.fill(shape, dtype === 'bool' ? Number(Boolean(fill)) : Number(fill), dtype));
}

/** The dtype that is asked for, else the one that the numbers have. */
function dtypeOf(call: Call, ...numbers: unknown[]): 'float32' | 'int32' | 'bool' {
  const named = call.text('dtype');
  if (named) return toTfDtype(named);
  if (numbers.some((number) => typeof number === 'boolean')) return 'bool';
  return numbers.length > 0 && numbers.every((number) => typeof number === 'string' || Number.isInteger(number)) ? 'int32' : 'float32';
}

const fillOf = (call: Call, at: number): Fill => (typeof call.node.args[at] === 'boolean' ? call.flag(at) : call.number(at));

const constant =
  (fill: Fill): Operation =>
  (call) =>
    filled(call, call.numbers(0), fill, dtypeOf(call));

const constantLike =
  (fill: Fill): Operation =>
  (call) => {
    const like = call.value(0);
    const dtype = call.text('dtype');
    return filled(call, shapeOf(like), fill, dtype ? toTfDtype(dtype) : (like.tensor.dtype as 'float32'));
  };

const constantNew =
  (fill: Fill): Operation =>
  (call) => {
    const dtype = call.text('dtype');
    return filled(call, call.numbers(1), fill, dtype ? toTfDtype(dtype) : (call.value(0).tensor.dtype as 'float32'));
  };

/** aten.arange(end), aten.arange.start(start, end), aten.arange.start_step(start, end, step). */
const arange: Operation = (call) => {
  const { args, op } = call.node;
  const [start, end, step] = op.includes('.start') ? [call.number(0), call.number(1), call.number(2, 1)] : [0, call.number(0), 1];
  const dtype = dtypeOf(call, ...args);
  return plainValue(call.tf.range(start, end, step, dtype === 'bool' ? 'int32' : dtype));
};

/** Keeps the lower (or upper) triangle of the last two axes. */
const triangle =
  (lower: boolean): Operation =>
  (call) => {
    const { tf } = call;
    const x = call.tensor(0);
    const diagonal = call.number(1, 0);
    const [rows, columns] = x.shape.slice(-2) as [number, number];
    const distance = tf.sub(
      tf.reshape(tf.range(0, columns, 1, 'int32'), [1, columns]),
      tf.reshape(tf.range(0, rows, 1, 'int32'), [rows, 1]),
    );
    const at = tf.scalar(diagonal, 'int32');
    const keep: Tensor = lower ? tf.lessEqual(distance, at) : tf.greaterEqual(distance, at);
    return plainValue(x.dtype === 'bool' ? tf.logicalAnd(x, keep) : tf.mul(x, tf.cast(keep, x.dtype)));
  };

export const creation: Record<string, Operation> = {
  arange,
  zeros: constant(0),
  // What is in an empty tensor is never read before it is filled.
  empty: constant(0),
  new_empty: constantNew(0),
  empty_like: constantLike(0),
  zero: constantLike(0),
  fill: (call) => constantLike(fillOf(call, 1))(call),
  ones: constant(1),
  full: (call) => filled(call, call.numbers(0), fillOf(call, 1), dtypeOf(call, call.node.args[1])),
  scalar_tensor: (call) => filled(call, [], fillOf(call, 0), dtypeOf(call, call.node.args[0])),
  zeros_like: constantLike(0),
  ones_like: constantLike(1),
  full_like: (call) => constantLike(fillOf(call, 1))(call),
  new_zeros: constantNew(0),
  new_ones: constantNew(1),
  new_full: (call) => constantNew(fillOf(call, 2))(call),
  tril: triangle(true),
  triu: triangle(false),
};
