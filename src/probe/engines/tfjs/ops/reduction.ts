/** Sums, means and their like over axes. */
import type { Tensor } from '@tensorflow/tfjs-core';
import type { Call, Operation } from '../call.js';
import { withGradient } from '../gradient.js';
import { arrange, plainValue, shapeOf, type TF, type Value } from '../value.js';

type Reduce = (tf: TF, x: Tensor, axes: number[]) => Tensor;

/** Reduces axes given in the graph's order; without `keep` they are dropped and the others move up. */
function reduceAxes(call: Call, given: number[], keep: boolean, apply: Reduce): Value {
  const { tensor, order } = call.value(0);
  const axes = given.map((axis) => (axis < 0 ? axis + order.length : axis));
  const places = axes.map((axis) => order[axis] as number);
  const reduced = apply(call.tf, tensor, places);
  if (keep) return { tensor: reduced, order };
  const left = order.filter((place) => !places.includes(place));
  const shape = reduced.shape.filter((_, place) => !places.includes(place));
  const ranks = [...left].sort((a, b) => a - b);
  return { tensor: call.tf.reshape(reduced, shape), order: left.map((place) => ranks.indexOf(place)) };
}

function reduction(apply: Reduce): Operation {
  return (call) => {
    const listed = call.has(1) ? call.numbers(1) : [];
    const axes = listed.length > 0 ? listed : call.value(0).order.map((_, axis) => axis);
    return reduceAxes(call, axes, call.flag(2), apply);
  };
}

const float = (tf: TF, x: Tensor) => (x.dtype === 'float32' ? x : tf.cast(x, 'float32'));
const number = (tf: TF, x: Tensor) => (x.dtype === 'bool' ? tf.cast(x, 'int32') : x);

/** aten.var.correction(input, dim, *, correction, keepdim). */
const variance =
  (finish: (tf: TF, x: Tensor) => Tensor): Operation =>
  (call) => {
    const { shape } = call.value(0).tensor;
    const axes = call.has(1) ? call.numbers(1) : shape.map((_, axis) => axis);
    const sizes = shapeOf(call.value(0));
    const count = axes.reduce((product, axis) => product * (sizes.at(axis) as number), 1);
    const correction = call.number('correction', 1);
    return reduceAxes(call, axes, call.flag('keepdim'), (tf, x, places) =>
      finish(tf, tf.mul(tf.moments(x, places, true).variance, count / Math.max(count - correction, 1))),
    );
  };

const cumulative: Operation = (call) => {
  const { tensor, order } = call.value(0);
  const place = order[call.axis(1, order.length)] as number;
  return { tensor: call.tf.cumsum(number(call.tf, tensor), place), order };
};

/** The largest or smallest element; equal ones share the gradient, as in PyTorch, where TensorFlow.js gives each all of it. */
function sharedExtreme(name: 'max' | 'min'): Reduce {
  return (tf, x, axes) =>
    withGradient(tf, [x], {
      forward: (input) => {
        const value = tf[name](input as Tensor, axes, true);
        return { value, saved: [input as Tensor, value] };
      },
      backward: (dy, [input, value]) => {
        const equal = tf.cast(tf.equal(input as Tensor, value as Tensor), 'float32');
        return [tf.mul(equal, tf.div(dy, tf.sum(equal, axes, true)))];
      },
    });
}

const extreme = (name: 'argMax' | 'argMin'): Operation => {
  return (call) => {
    const rank = call.value(0).order.length;
    if (!call.has(1)) return call.fail('only along an axis');
    const axis = call.axis(1, rank);
    const index = call.tf[name](
      arrange(
        call.tf,
        call.value(0),
        call.value(0).order.map((_, at) => at),
      ),
      axis,
    );
    return plainValue(call.flag(2) ? call.tf.expandDims(index, axis) : index);
  };
};

/** aten.linalg_vector_norm(input, ord, dim, keepdim). */
const vectorNorm: Operation = (call) => {
  if (call.number(1, 2) !== 2) call.fail('only the Euclidean norm');
  const axes = call.has(2) ? call.numbers(2) : call.value(0).order.map((_, axis) => axis);
  return reduceAxes(call, axes, call.flag(3), (tf, x, places) => tf.sqrt(tf.sum(tf.square(x), places, true)));
};

export const reductions: Record<string, Operation> = {
  mean: reduction((tf, x, axes) => tf.mean(float(tf, x), axes, true)),
  sum: reduction((tf, x, axes) => tf.sum(number(tf, x), axes, true)),
  amax: reduction(sharedExtreme('max')),
  amin: reduction(sharedExtreme('min')),
  any: reduction((tf, x, axes) => tf.any(tf.cast(x, 'bool'), axes, true)),
  all: reduction((tf, x, axes) => tf.all(tf.cast(x, 'bool'), axes, true)),
  'var.correction': variance((_, x) => x),
  'std.correction': variance((tf, x) => tf.sqrt(x)),
  linalg_vector_norm: vectorNorm,
  cumsum: cumulative,
  argmax: extreme('argMax'),
  argmin: extreme('argMin'),
};
