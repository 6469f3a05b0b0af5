/** Losses. PyTorch's reductions: 0 none, 1 mean, 2 sum. */
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { Call, Operation } from '../call.js';
import { withGradient } from '../gradient.js';
import { plain, plainValue, shapeOf, type TF, type Value } from '../value.js';
import { lastAxis } from './lookup.js';
import { combine } from './pointwise.js';

function reduce(tf: TF, losses: Tensor, reduction: number): Tensor {
  if (reduction === 0) return losses;
  return reduction === 1 ? tf.mean(losses) : tf.sum(losses);
}

/** Classes on the last axis, everything else in one: (N, C, d1, ...) as (N * d1 * ..., C). */
function rowsOf(tf: TF, value: Value): Tensor2D {
  const rank = shapeOf(value).length;
  const classes = plain(tf, lastAxis(value, rank === 1 ? 0 : 1));
  return tf.reshape(classes, [-1, classes.shape.at(-1) as number]);
}

/**
 * Negative log-likelihood of class indices, -mean over counted rows of logProbabilities[row, target].
 * With `fromLogits` the rows are logits, and the gradient is (softmax - one-hot) / count: only the log-softmax is kept.
 */
function likelihood(call: Call, rows: Tensor2D, targets: Tensor1D, fromLogits: boolean, options: LikelihoodOptions): Tensor {
  const { tf } = call;
  const [count, classes] = rows.shape;
  const { ignored, smoothing, reduction } = options;
  const counted = tf.cast(tf.notEqual(targets, tf.scalar(ignored, 'int32')), 'float32');
  // An ignored index may lie outside the classes: any row will do, its loss is multiplied by 0.
  const safe = tf.mul(targets, tf.cast(counted, 'int32')) as Tensor1D;
  const divisor = reduction === 1 ? tf.sum(counted) : tf.scalar(1);
  return withGradient(tf, [rows], {
    forward: (input) => {
      const logs = fromLogits ? tf.logSoftmax(input as Tensor2D) : (input as Tensor2D);
      const places = tf.add(tf.mul(tf.range(0, count, 1, 'int32'), tf.scalar(classes, 'int32')), safe) as Tensor1D;
      const picked = tf.mul(tf.gather(tf.reshape(logs, [-1]), places), 1 - smoothing);
      const spread = smoothing > 0 ? tf.add(picked, tf.mul(tf.sum(logs, 1), smoothing / classes)) : picked;
      const losses = tf.neg(tf.mul(spread, counted));
      return { value: reduction === 0 ? losses : tf.div(tf.sum(losses), divisor), saved: [logs, safe, counted, divisor] };
    },
    backward: (dy, saved) => {
      const [kept, at, weight, total] = saved as [Tensor2D, Tensor1D, Tensor1D, Tensor];
      const hot = tf.mul(tf.cast(tf.oneHot(at, classes), 'float32'), 1 - smoothing);
      const target = smoothing > 0 ? tf.add(hot, smoothing / classes) : hot;
      const difference = fromLogits ? tf.sub(tf.exp(kept), target) : tf.neg(target);
      return [tf.mul(difference, tf.expandDims(tf.div(tf.mul(weight, dy), total), 1))];
    },
  });
}

interface LikelihoodOptions {
  reduction: number;
  ignored: number;
  smoothing: number;
}

/** aten.cross_entropy_loss(input, target, weight, reduction, ignore_index, label_smoothing). */
const crossEntropy: Operation = (call) => {
  const { tf } = call;
  if (call.has(2)) call.fail('only without class weights');
  const reduction = call.number(3, 1);
  const smoothing = call.number(5, 0);
  const rows = rowsOf(tf, call.value(0));
  const target = call.value(1);
  if (target.tensor.dtype !== 'float32') {
    const targets = tf.reshape(plain(tf, target), [-1]) as Tensor1D;
    const losses = likelihood(call, rows, targets, true, { reduction, ignored: call.number(4, -100), smoothing });
    return plainValue(reduction === 0 ? tf.reshape(losses, shapeOf(target)) : losses);
  }
  const classes = rows.shape[1];
  const given = rowsOf(tf, target);
  const shares = smoothing > 0 ? tf.add(tf.mul(given, 1 - smoothing), smoothing / classes) : given;
  const losses = tf.neg(tf.sum(tf.mul(tf.logSoftmax(rows), shares), 1));
  return plainValue(reduce(tf, losses, reduction));
};

/** aten.nll_loss_nd(log_probabilities, target, weight, reduction, ignore_index). */
const negativeLogLikelihood: Operation = (call) => {
  if (call.has(2)) call.fail('only without class weights');
  const targets = call.tf.reshape(call.tensor(1), [-1]) as Tensor1D;
  const options = { reduction: call.number(3, 1), ignored: call.number(4, -100), smoothing: 0 };
  return plainValue(likelihood(call, rowsOf(call.tf, call.value(0)), targets, false, options));
};

function elementwise(apply: (tf: TF, x: Tensor, y: Tensor) => Tensor): Operation {
  return (call) => {
    const losses = combine(call.tf, [call.value(0), call.value(1)], (x, y) => apply(call.tf, x as Tensor, y as Tensor));
    const reduction = call.number(2, 1);
    return reduction === 0 ? losses : plainValue(reduce(call.tf, losses.tensor, reduction));
  };
}

/** aten.binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction), as max(x, 0) - x y + log(1 + exp(-|x|)). */
const binaryCrossEntropy: Operation = (call) => {
  const { tf } = call;
  if (call.has(2) || call.has(3)) call.fail('only without weights');
  const losses = combine(tf, [call.value(0), call.value(1)], (logits, targets) => {
    const [x, y] = [logits as Tensor, targets as Tensor];
    return tf.add(tf.sub(tf.relu(x), tf.mul(x, y)), tf.log1p(tf.exp(tf.neg(tf.abs(x)))));
  });
  const reduction = call.number(4, 1);
  return reduction === 0 ? losses : plainValue(reduce(tf, losses.tensor, reduction));
};

export const losses: Record<string, Operation> = {
  cross_entropy_loss: crossEntropy,
  nll_loss_nd: negativeLogLikelihood,
  nll_loss: negativeLogLikelihood,
  mse_loss: elementwise((tf, x, y) => tf.squaredDifference(x, y)),
  l1_loss: elementwise((tf, x, y) => tf.abs(tf.sub(x, y))),
  binary_cross_entropy_with_logits: binaryCrossEntropy,
};
