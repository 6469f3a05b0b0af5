/** Element-wise operators with one or several operands, comparisons, casts and dropout. */
import type { Tensor } from '@tensorflow/tfjs-core';
import { type Call, type Operation, UnsupportedError } from '../call.js';
import { stopGradient, withGradient } from '../gradient.js';
import { uniform } from '../random.js';
import { align, plainValue, type TF, type Value } from '../value.js';

type Unary = (tf: TF, x: Tensor, call: Call) => Tensor;
type Binary = (tf: TF, a: Tensor, b: Tensor) => Tensor;

export function unary(apply: Unary): Operation {
  return (call) => {
    const { tensor, order } = call.value(0);
    return { tensor: apply(call.tf, tensor, call), order };
  };
}

export function binary(apply: Binary): Operation {
  return (call) => combine(call.tf, [call.value(0), call.value(1)], (a, b) => apply(call.tf, a as Tensor, b as Tensor));
}

export function combine(tf: TF, values: Value[], apply: (...tensors: Tensor[]) => Tensor): Value {
  const { tensors, order } = align(tf, values);
  return { tensor: apply(...tensors), order };
}

function float(tf: TF, x: Tensor): Tensor {
  return x.dtype === 'float32' ? x : tf.cast(x, 'float32');
}

/** a + alpha * b, and a - alpha * b. */
function scaledSum(sign: 1 | -1): Operation {
  return (call) => {
    const alpha = call.number('alpha', 1);
    return combine(call.tf, [call.value(0), call.value(1)], (a, b) => {
      const scaled = alpha === 1 ? (b as Tensor) : call.tf.mul(b as Tensor, alpha);
      return sign === 1 ? call.tf.add(a as Tensor, scaled) : call.tf.sub(a as Tensor, scaled);
    });
  };
}

const divide: Operation = (call) =>
  combine(call.tf, [call.value(0), call.value(1)], (a, b) => {
    const quotient = call.tf.div(float(call.tf, a as Tensor), float(call.tf, b as Tensor));
    const rounding = call.text('rounding_mode');
    if (rounding === 'floor') return call.tf.floor(quotient);
    if (rounding === 'trunc') return call.tf.mul(call.tf.sign(quotient), call.tf.floor(call.tf.abs(quotient)));
    return quotient;
  });

function tanhGelu(tf: TF, x: Tensor): Tensor {
  const inner = tf.mul(tf.add(x, tf.mul(tf.pow(x, 3), 0.044715)), Math.sqrt(2 / Math.PI));
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
}

/** gelu'(x) = Phi(x) + x phi(x): keeps x alone, where the written-out form would keep every intermediate. */
function gelu(tf: TF, x: Tensor, call: Call): Tensor {
  if (call.text('approximate') === 'tanh') return tanhGelu(tf, x);
  const phi = (at: Tensor) => tf.mul(tf.add(tf.erf(tf.mul(at, Math.SQRT1_2)), 1), 0.5);
  return withGradient(tf, [x], {
    forward: (input) => ({ value: tf.mul(input as Tensor, phi(input as Tensor)), saved: [input as Tensor] }),
    backward: (dy, [kept]) => {
      const at = kept as Tensor;
      const density = tf.mul(tf.exp(tf.mul(tf.square(at), -0.5)), 1 / Math.sqrt(2 * Math.PI));
      return [tf.mul(dy, tf.add(phi(at), tf.mul(at, density)))];
    },
  });
}

function clamp(call: Call, low: number, high: number): Value {
  const { tensor, order } = call.value(0);
  // relu6 has PyTorch's gradient at exactly 0, which clipByValue has not.
  if (low === 0 && high === 6) return { tensor: call.tf.relu6(tensor), order };
  return { tensor: call.tf.clipByValue(tensor, Math.max(low, -3.4e38), Math.min(high, 3.4e38)), order };
}

const hardSigmoid: Unary = (tf, x) => tf.mul(tf.relu6(tf.add(x, 3)), 1 / 6);

const power: Operation = (call) => {
  if (!call.has(1)) return call.fail('the exponent is missing');
  return combine(call.tf, [call.value(0), call.value(1)], (a, b) => {
    const x = float(call.tf, a as Tensor);
    const exponent = typeof call.node.args[1] === 'number' ? call.number(1) : null;
    if (exponent === 1) return x;
    if (exponent === 2) return call.tf.square(x);
    if (exponent === 0.5) return call.tf.sqrt(x);
    if (exponent === -0.5) return call.tf.rsqrt(x);
    return call.tf.pow(x, float(call.tf, b as Tensor));
  });
};

const dropout: Operation = (call) => {
  const input = call.value(0);
  const rate = call.number(1, 0.5);
  if (rate === 0 || !call.flag(2, true)) return input;
  const { tf } = call;
  const kept = tf.cast(tf.greaterEqual(uniform(tf, input.tensor.shape), rate), 'float32');
  return { tensor: tf.mul(tf.mul(input.tensor, kept), 1 / (1 - rate)), order: input.order };
};

const where: Operation = (call) =>
  combine(call.tf, [call.value(0), call.value(1), call.value(2)], (condition, a, b) => {
    const [left, right] = [a as Tensor, b as Tensor];
    const both = left.dtype === right.dtype ? [left, right] : [float(call.tf, left), float(call.tf, right)];
    return call.tf.where(call.tf.cast(condition as Tensor, 'bool'), both[0] as Tensor, both[1] as Tensor);
  });

const maskedFill: Operation = (call) =>
  combine(call.tf, [call.value(0), call.value(1), call.value(2)], (x, mask, fill) =>
    call.tf.where(call.tf.cast(mask as Tensor, 'bool'), call.tf.cast(fill as Tensor, (x as Tensor).dtype), x as Tensor),
  );

/** TensorFlow.js computes in float32, int32 and bool; the graph's integers are int32 there. */
export function toTfDtype(dtype: string): 'float32' | 'int32' | 'bool' {
  if (dtype === 'model' || dtype === 'float32') return 'float32';
  if (dtype === 'bool') return 'bool';
  if (/^u?int/.test(dtype)) return 'int32';
  throw new UnsupportedError(`TensorFlow.js does not compute in ${dtype}; it has float32, int32 and bool`);
}

function castTo(call: Call, dtype: string | null): Value {
  const { tensor, order } = call.value(0);
  const wanted = dtype === null ? tensor.dtype : toTfDtype(dtype);
  return { tensor: wanted === tensor.dtype ? tensor : call.tf.cast(tensor, wanted), order };
}

const compare = (name: 'equal' | 'notEqual' | 'less' | 'lessEqual' | 'greater' | 'greaterEqual'): Operation =>
  binary((tf, a, b) => tf[name](a, b));

const logical = (name: 'logicalAnd' | 'logicalOr' | 'logicalXor'): Operation =>
  binary((tf, a, b) => tf[name](tf.cast(a, 'bool'), tf.cast(b, 'bool')));

const not = unary((tf, x, call) => (x.dtype === 'bool' ? tf.logicalNot(x) : call.fail('only of a truth value')));

/** Bitwise operators, for truth values alone. */
function bitwise(name: 'logicalAnd' | 'logicalOr' | 'logicalXor'): Operation {
  return binary((tf, a, b) => {
    if (a.dtype !== 'bool' || b.dtype !== 'bool')
      throw new UnsupportedError(`bitwise operators work on truth values alone, found ${a.dtype}`);
    return tf[name](a, b);
  });
}

export const pointwise: Record<string, Operation> = {
  relu: unary((tf, x) => tf.relu(x)),
  relu6: unary((tf, x) => tf.relu6(x)),
  gelu: unary(gelu),
  bloom_gelu: unary(tanhGelu),
  silu: unary((tf, x) => tf.mul(x, tf.sigmoid(x))),
  mish: unary((tf, x) => tf.mul(x, tf.tanh(tf.softplus(x)))),
  sigmoid: unary((tf, x) => tf.sigmoid(x)),
  tanh: unary((tf, x) => tf.tanh(x)),
  elu: unary((tf, x, call) => (call.number(1, 1) === 1 ? tf.elu(x) : call.fail('only alpha = 1'))),
  leaky_relu: unary((tf, x, call) => tf.leakyRelu(x, call.number(1, 0.01))),
  hardsigmoid: unary(hardSigmoid),
  hardswish: unary((tf, x, call) => tf.mul(x, hardSigmoid(tf, x, call))),
  hardtanh: (call) => clamp(call, call.number(1, -1), call.number(2, 1)),
  clamp: (call) => clamp(call, call.number(1, -Infinity), call.number(2, Infinity)),
  clamp_min: (call) => combine(call.tf, [call.value(0), call.value(1)], (a, b) => call.tf.maximum(a as Tensor, b as Tensor)),
  clamp_max: (call) => combine(call.tf, [call.value(0), call.value(1)], (a, b) => call.tf.minimum(a as Tensor, b as Tensor)),
  softplus: unary((tf, x) => tf.softplus(x)),
  exp: unary((tf, x) => tf.exp(x)),
  log: unary((tf, x) => tf.log(x)),
  log1p: unary((tf, x) => tf.log1p(x)),
  sqrt: unary((tf, x) => tf.sqrt(x)),
  rsqrt: unary((tf, x) => tf.rsqrt(x)),
  reciprocal: unary((tf, x) => tf.reciprocal(x)),
  square: unary((tf, x) => tf.square(x)),
  neg: unary((tf, x) => tf.neg(x)),
  abs: unary((tf, x) => tf.abs(x)),
  sin: unary((tf, x) => tf.sin(x)),
  cos: unary((tf, x) => tf.cos(x)),
  erf: unary((tf, x) => tf.erf(x)),
  floor: unary((tf, x) => tf.floor(x)),
  sign: unary((tf, x) => tf.sign(x)),
  logical_not: not,
  bitwise_not: not,
  add: scaledSum(1),
  sub: scaledSum(-1),
  rsub: (call) => combine(call.tf, [call.value(1), call.value(0)], (a, b) => call.tf.sub(a as Tensor, b as Tensor)),
  mul: binary((tf, a, b) => tf.mul(a, b)),
  div: divide,
  addcmul: (call) =>
    combine(call.tf, [call.value(0), call.value(1), call.value(2)], (sum, a, b) =>
      call.tf.add(sum as Tensor, call.tf.mul(call.tf.mul(a as Tensor, b as Tensor), call.number('value', 1))),
    ),
  pow: power,
  maximum: binary((tf, a, b) => tf.maximum(a, b)),
  minimum: binary((tf, a, b) => tf.minimum(a, b)),
  eq: compare('equal'),
  ne: compare('notEqual'),
  lt: compare('less'),
  le: compare('lessEqual'),
  gt: compare('greater'),
  ge: compare('greaterEqual'),
  logical_and: logical('logicalAnd'),
  logical_or: logical('logicalOr'),
  logical_xor: logical('logicalXor'),
  bitwise_and: bitwise('logicalAnd'),
  __and__: bitwise('logicalAnd'),
  bitwise_or: bitwise('logicalOr'),
  __or__: bitwise('logicalOr'),
  where,
  masked_fill: maskedFill,
  dropout,
  bernoulli: (call) => {
    const { tensor, order } = call.value(0);
    return { tensor: call.tf.cast(call.tf.less(uniform(call.tf, tensor.shape), call.number(1, 0.5)), 'float32'), order };
  },
  feature_dropout: (call) => (call.number(1) === 0 || !call.flag(2) ? call.value(0) : call.fail('only with p = 0')),
  'to.dtype': (call) => castTo(call, call.text(1)),
  'to.dtype_layout': (call) => castTo(call, call.text('dtype')),
  'to.device': (call) => castTo(call, call.text(2)),
  'to.other': (call) => castTo(call, call.value(1).tensor.dtype),
  _to_copy: (call) => castTo(call, call.text('dtype')),
  type_as: (call) => castTo(call, call.value(1).tensor.dtype),
  detach: (call) => plainValue(stopGradient(call.tf, call.tensor(0))),
};
