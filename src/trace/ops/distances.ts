/** Losses and similarities of two tensors, mostly written out of smaller operators as ATen does. */
import { callOne, define, type Rule } from '../registry.js';
import type { Tensor } from '../tensor.js';
import { flag, number, tensor } from './arguments.js';
import { pairwise } from './loss.js';

const REDUCE_NONE = 0;
const REDUCE_SUM = 2;

function reduce(s: Parameters<Rule>[0], each: Tensor, reduction: number): Tensor {
  if (reduction === REDUCE_NONE) return each;
  return callOne(s, reduction === REDUCE_SUM ? 'sum' : 'mean', [each]);
}

/** kl_div: xlogy(target, target) - target * input; with a log target exp(target) * (target - input). */
const klDivRule: Rule = (s, args, named) => {
  const [input, target] = [tensor(args[0]), tensor(args[1])];
  const each = flag(named.log_target)
    ? callOne(s, 'mul', [callOne(s, 'exp', [target]), callOne(s, 'sub', [target, input])])
    : callOne(s, 'sub', [callOne(s, 'xlogy', [target, target]), callOne(s, 'mul', [target, input])]);
  return reduce(s, each, number(args[2], 1));
};

/** Each vector divided by its norm, and the sum of the products. */
const cosineSimilarityRule: Rule = (s, args) => {
  const [a, b] = [tensor(args[0]), tensor(args[1])];
  const d = number(args[2], 1);
  const norm = (t: Tensor): Tensor => callOne(s, 'clone', [callOne(s, 'linalg_vector_norm', [t, 2, [d], true])]);
  const [na, nb] = [norm(a), norm(b)];
  return callOne(s, 'sum.dim_IntList', [callOne(s, 'mul', [callOne(s, 'div', [a, na]), callOne(s, 'div', [b, nb])]), [d]]);
};

/** hinge_embedding_loss: both branches are made in full and chosen from. */
const hingeEmbeddingRule: Rule = (s, args) => {
  const [x, target] = [tensor(args[0]), tensor(args[1])];
  const zeros = callOne(s, 'zeros_like', [x]);
  const margin = callOne(s, 'clamp_min', [callOne(s, 'rsub', [x, number(args[2], 1)]), 0]);
  const apart = callOne(s, 'where', [callOne(s, 'ne', [target, 1]), margin, zeros]);
  const close = callOne(s, 'where', [callOne(s, 'ne', [target, -1]), x, zeros]);
  return reduce(s, callOne(s, 'add', [apart, close]), number(args[3], 1));
};

/** margin_ranking_loss: clamp_min(-target * (a - b) + margin, 0). */
const marginRankingRule: Rule = (s, args) => {
  const [a, b, target] = [tensor(args[0]), tensor(args[1]), tensor(args[2])];
  const product = callOne(s, 'mul', [callOne(s, 'neg', [target]), callOne(s, 'sub', [a, b])]);
  const shifted = number(args[3], 0) === 0 ? product : callOne(s, 'add', [product, number(args[3], 0)]);
  return reduce(s, callOne(s, 'clamp_min', [shifted, 0]), number(args[4], 1));
};

define({
  kl_div: klDivRule,
  cosine_similarity: cosineSimilarityRule,
  hinge_embedding_loss: hingeEmbeddingRule,
  margin_ranking_loss: marginRankingRule,
  soft_margin_loss: pairwise('soft_margin_loss'),
});
