/** Losses: cross entropy keeps its log-softmax, the targets and a total weight. */

import { isFloating } from '../dtype.js';
import { callOne, define, type Rule } from '../registry.js';
import { number, tensor } from './arguments.js';
import { elementwise } from './core.js';

const REDUCE_NONE = 0;

/** nll_loss over log-probabilities [N, C] or [N, C, ...]; the gradient is as large as they are. */
const nllRule: Rule = (s, args) => {
  const x = tensor(args[0]);
  const target = tensor(args[1]);
  const none = number(args[3], 1) === REDUCE_NONE;
  const out = s.empty(none ? target.shape : [], x.type);
  const total = s.empty([], x.type);
  s.record('nll_loss', [x], [out], [x, target, total], ([grad]) => [grad ? s.empty(x.shape, x.type) : null]);
  return out;
};

/** Class indices, or probabilities of the input's shape: then the product with the log-softmax is written out. */
const crossEntropyRule: Rule = (s, args) => {
  const x = tensor(args[0]);
  const target = tensor(args[1]);
  const smoothing = number(args[5], 0);
  const classes = x.shape.length === 1 ? 0 : 1;
  const logits = callOne(s, 'log_softmax', [x, classes, x.type]);
  if (isFloating(target.type)) return callOne(s, 'neg', [callOne(s, 'sum', [callOne(s, 'mul', [logits, target])])]);
  const loss = callOne(s, 'nll_loss', [logits, target, args[2] ?? null, args[3] ?? 1]);
  if (smoothing === 0) return loss;
  const smooth = callOne(s, 'neg', [callOne(s, 'mean', [callOne(s, 'sum.dim_IntList', [logits, [classes]])])]);
  return callOne(s, 'add', [callOne(s, 'mul', [loss, 1 - smoothing]), callOne(s, 'mul', [smooth, smoothing])]);
};

/** A loss between two tensors: one kernel forward, one of the input's size backward. */
export function pairwise(name: string): Rule {
  return (s, args) => {
    const x = tensor(args[0]);
    const target = tensor(args[1]);
    const none = args[2] === REDUCE_NONE;
    const out = s.empty(none ? x.shape : [], x.type);
    s.record(name, [x, target], [out], [x, target], ([grad], needs) => [
      grad && needs[0] ? elementwise(s, [x, target]) : null,
      grad && needs[1] ? elementwise(s, [x, target]) : null,
    ]);
    return out;
  };
}

/** l1_loss is abs(x - y) and its mean. */
const l1Rule: Rule = (s, args) => {
  const each = callOne(s, 'abs', [callOne(s, 'sub', [tensor(args[0]), tensor(args[1])])]);
  return args[2] === REDUCE_NONE ? each : callOne(s, 'mean', [each]);
};

define({
  nll_loss: nllRule,
  nll_loss_nd: nllRule,
  nll_loss2d: nllRule,
  cross_entropy_loss: crossEntropyRule,
  mse_loss: pairwise('mse_loss'),
  smooth_l1_loss: pairwise('smooth_l1_loss'),
  huber_loss: pairwise('huber_loss'),
  l1_loss: l1Rule,
  binary_cross_entropy: pairwise('binary_cross_entropy'),
  binary_cross_entropy_with_logits: pairwise('binary_cross_entropy_with_logits'),
});
