/** Matrix products and attention. */
import type { Tensor } from '@tensorflow/tfjs-core';
import { broadcast, tile } from '../broadcast.js';
import type { Call, Operation } from '../call.js';
import { uniform } from '../random.js';
import { arrange, identity, plain, plainValue, shapeOf, type TF, type Value } from '../value.js';

/** A matrix, or a batch of them, as TensorFlow keeps it: `transposed` when its last two axes lie swapped in memory. */
function matrix(tf: TF, value: Value): { tensor: Tensor; transposed: boolean } {
  const rank = value.order.length;
  const swapped = [...identity(rank - 2), rank - 1, rank - 2];
  const transposed = swapped.every((axis, at) => axis === value.order[at]);
  return { tensor: transposed ? value.tensor : plain(tf, value), transposed };
}

/** aten.matmul of values with at least two axes each; batch axes broadcast. */
export function multiply(tf: TF, left: Value, right: Value): Value {
  const [leftShape, rightShape] = [shapeOf(left), shapeOf(right)];
  const rows = leftShape.at(-2) as number;
  const columns = rightShape.at(-1) as number;
  const b = matrix(tf, right);
  if (rightShape.length === 2) {
    if (leftShape.length === 2) {
      const a = matrix(tf, left);
      return plainValue(tf.matMul(a.tensor, b.tensor, a.transposed, b.transposed));
    }
    const flat = tf.reshape(plain(tf, left), [-1, leftShape.at(-1) as number]);
    return plainValue(tf.reshape(tf.matMul(flat, b.tensor, false, b.transposed), [...leftShape.slice(0, -1), columns]));
  }
  const a = matrix(tf, left);
  const batch = broadcastShape(leftShape.slice(0, -2), rightShape.slice(0, -2));
  const spread = (tensor: Tensor) => {
    const missing = batch.length + 2 - tensor.rank;
    const padded = missing > 0 ? tf.reshape(tensor, [...Array(missing).fill(1), ...tensor.shape]) : tensor;
    return broadcast(tf, padded, [...batch, ...tensor.shape.slice(-2)]);
  };
  const product = tf.matMul(spread(a.tensor), spread(b.tensor), a.transposed, b.transposed);
  return plainValue(tf.reshape(product, [...batch, rows, columns]));
}

function broadcastShape(a: number[], b: number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, at) => Math.max(a.at(at - rank) ?? 1, b.at(at - rank) ?? 1));
}

/** aten.linear(input, weight, bias): weight is (out, in). */
const linear: Operation = (call) => {
  const weight = call.value(1);
  const transposed: Value = { tensor: weight.tensor, order: [weight.order[1] as number, weight.order[0] as number] };
  const input = call.value(0);
  const lifted = input.order.length === 1 ? call.fail('only of inputs with at least two axes') : input;
  const { tensor, order } = multiply(call.tf, lifted, transposed);
  const bias = call.optionalTensor(2);
  return { tensor: bias ? call.tf.add(tensor, bias) : tensor, order };
};

const matmul: Operation = (call) => {
  const [left, right] = [call.value(0), call.value(1)];
  if (left.order.length < 2 || right.order.length < 2) call.fail('only of operands with at least two axes');
  return multiply(call.tf, left, right);
};

/** aten.addmm(bias, left, right, *, beta, alpha) = beta * bias + alpha * (left @ right), for batches too. */
const addProduct: Operation = (call) => {
  const { tf } = call;
  const [beta, alpha] = [call.number('beta', 1), call.number('alpha', 1)];
  const { tensor, order } = multiply(tf, call.value(1), call.value(2));
  const scaled = alpha === 1 ? tensor : tf.mul(tensor, alpha);
  if (beta === 0) return { tensor: scaled, order };
  const bias = call.tensor(0);
  return { tensor: tf.add(scaled, beta === 1 ? bias : tf.mul(bias, beta)), order };
};

/** aten.scaled_dot_product_attention(q, k, v, attn_mask, dropout_p, is_causal, *, scale, enable_gqa), written out. */
const attention: Operation = (call) => {
  const { tf } = call;
  const [query, key, value] = [call.value(0), call.value(1), call.value(2)];
  const heads = shapeOf(query).at(-3) as number;
  const [keys, values] = call.flag('enable_gqa') ? [repeatHeads(tf, key, heads), repeatHeads(tf, value, heads)] : [key, value];
  const scale = call.number('scale', 1 / Math.sqrt(shapeOf(query).at(-1) as number));
  const rank = query.order.length;
  const swapped: Value = { tensor: keys.tensor, order: [...keys.order.slice(0, -2), ...keys.order.slice(-2).reverse()] };
  // Scaling the query costs less than scaling the scores.
  const scaledQuery: Value = { tensor: tf.mul(query.tensor, scale), order: query.order };
  let scores = multiply(tf, scaledQuery, swapped).tensor;
  const mask = call.flag(5) ? causalMask(tf, scores.shape.at(-2) as number, scores.shape.at(-1) as number) : attentionMask(call);
  if (mask) scores = tf.add(scores, mask);
  let weights = tf.softmax(scores, rank - 1);
  const rate = call.number(4, 0);
  if (rate > 0) {
    const kept = tf.cast(tf.greaterEqual(uniform(tf, weights.shape), rate), 'float32');
    weights = tf.mul(tf.mul(weights, kept), 1 / (1 - rate));
  }
  return multiply(tf, plainValue(weights), values);
};

/** 0 where a query may look, a very low number after itself (a finite one: a row of -inf would have no softmax). */
function causalMask(tf: TF, queries: number, keys: number): Tensor {
  const rows = tf.reshape(tf.range(0, queries, 1, 'int32'), [queries, 1]);
  const columns = tf.reshape(tf.range(0, keys, 1, 'int32'), [1, keys]);
  return tf.mul(tf.cast(tf.greater(columns, rows), 'float32'), -1e30);
}

function attentionMask(call: Call): Tensor | null {
  const mask = call.optionalTensor(3);
  if (mask?.dtype !== 'bool') return mask;
  return call.tf.mul(call.tf.cast(call.tf.logicalNot(mask), 'float32'), -1e30);
}

/** Grouped queries: each of the fewer key or value heads serves a run of query heads. */
function repeatHeads(tf: TF, value: Value, heads: number): Value {
  const [batch, own, length, width] = shapeOf(value) as [number, number, number, number];
  if (own === heads) return value;
  const spread = tile(tf, tf.reshape(plain(tf, value), [batch, own, 1, length, width]), [1, 1, heads / own, 1, 1]);
  return plainValue(tf.reshape(spread, [batch, heads, length, width]));
}

const softmax =
  (apply: 'softmax' | 'logSoftmax'): Operation =>
  (call) => {
    const input = call.value(0);
    const rank = input.order.length;
    const axis = call.axis(1, rank);
    // TensorFlow.js takes the softmax over the last axis alone.
    const others = identity(rank).filter((at) => at !== axis);
    const order: number[] = [];
    [...others, axis].forEach((at, place) => {
      order[at] = place;
    });
    return { tensor: call.tf[apply](arrange(call.tf, input, order)), order };
  };

export const linearAlgebra: Record<string, Operation> = {
  linear,
  matmul,
  mm: matmul,
  bmm: matmul,
  addmm: addProduct,
  baddbmm: addProduct,
  scaled_dot_product_attention: attention,
  softmax: softmax('softmax'),
  _softmax: softmax('softmax'),
  log_softmax: softmax('logSoftmax'),
  _log_softmax: softmax('logSoftmax'),
};
