/** Mixture of experts as transformers runs it on cards that have grouped matrix products (compute capability 8.0 on). */

import { times } from '../../arithmetic.js';
import { type Activation, activationModule } from '../../blocks/modules.js';
import { size, type Value } from '../../builder.js';
import type { DType, Size } from '../../graph.js';
import { add, addInPlace, mul, softmax, toDtype } from '../../ops/elementwise.js';
import { arange, filled, linear } from '../../ops/layers.js';
import { chunk, reduce, reshape, transpose, unsqueeze, view } from '../../ops/views.js';
import type { Text } from './text.js';

export interface Experts {
  count: number;
  perToken: number;
  /** Noise on the router's input in training; 0 is none. */
  jitter: number;
  /** Weight of the load-balancing loss, null without it. */
  lossFactor: number | null;
}

interface Mixture {
  features: number;
  inner: number;
  activation: Activation;
  experts: Experts;
}

/** The feed-forward of experts: x [B, S, features]; the router's logits [B*S, experts] are added to `routers`. */
export function mixtureModule(text: Text, name: string, x: Value, mixture: Mixture, routers: Value[]): Value {
  const { g, batch, length } = text;
  const { features, experts } = mixture;
  return g.inModule(name, () => {
    const noisy = experts.jitter > 0 ? jitter(text, x, experts.jitter) : x;
    const tokens = view(g, noisy, [-1, features]);
    const [weights, indices] = g.inModule('gate', () => route(text, tokens, mixture, routers));
    const mixed = g.inModule('experts', () => runExperts(text, tokens, weights, indices, mixture));
    return reshape(g, mixed, [batch, length, features]);
  });
}

/** x *= uniform(1 - jitter, 1 + jitter). */
function jitter({ g }: Text, x: Value, amount: number): Value {
  const noise = g.call('aten.uniform_', [g.call('aten.empty_like', [x], x), 1 - amount, 1 + amount], x);
  return g.call('aten.mul_.Tensor', [x, noise], x);
}

function route({ g }: Text, tokens: Value, { features, experts }: Mixture, routers: Value[]): [Value, Value] {
  const logits = linear(g, reshape(g, tokens, [-1, features]), g.parameter('weight', [experts.count, features]));
  routers.push(logits);
  const shares = softmax(g, toDtype(g, logits, 'float32'), -1);
  const [top, indices] = topExperts(g, shares, experts.perToken);
  const total = reduce(g, 'aten.sum.dim_IntList', top, [-1], true);
  return [g.call('aten.div_.Tensor', [top, total], top), indices];
}

function topExperts(g: Text['g'], shares: Value, count: number): [Value, Value] {
  const shape = [shares.shape[0] as Size, count];
  return g.callMany(
    'aten.topk',
    [shares, count],
    [
      { shape, dtype: shares.dtype },
      { shape, dtype: 'int64' },
    ],
  ) as [Value, Value];
}

/** Tokens sorted by expert, two grouped products around the gate, and back in their order. */
function runExperts(text: Text, tokens: Value, weights: Value, indices: Value, { features, inner, activation, experts }: Mixture): Value {
  const { g, batch, length } = text;
  const { count, perToken } = experts;
  const pairs = times(batch, length, perToken);
  const list = (dtype: DType) => ({ shape: [pairs], dtype });
  const samples = reshape(g, weights, [-1]);
  const [sorted, order] = g.callMany('aten.sort', [reshape(g, indices, [-1])], [list('int64'), list('int64')]) as [Value, Value];
  const rows = g.call('aten.floor_divide', [order, perToken], order);
  const selected = g.call('aten.index.Tensor', [tokens, [rows]], { shape: [pairs, features], dtype: tokens.dtype });
  const selectedWeights = g.call('aten.index.Tensor', [samples, [order]], list(samples.dtype));
  const loads = g.call('aten.histc', [toDtype(g, sorted, 'int32'), count, 0, count - 1], { shape: [count], dtype: 'int32' });
  const offsets = g.call('aten.cumsum', [loads, 0], { shape: [count], dtype: 'int32' }, { dtype: 'int32' });
  const grouped = (x: Value, weight: Value): Value => {
    const turned = transpose(g, weight, -2, -1);
    const low = toDtype(g, x, 'model');
    return g.call('aten._grouped_mm', [low, turned, offsets], { shape: [pairs, weight.shape[1] as Size], dtype: 'model' });
  };
  const gateUp = g.parameter('gate_up_proj', [count, 2 * inner, features]);
  const down = g.parameter('down_proj', [count, features, inner]);
  const [gate, up] = chunk(g, grouped(selected, gateUp), 2, -1) as [Value, Value];
  const projected = grouped(mul(g, activationModule(g, 'act_fn', gate, activation), up), down);
  const weighted = mul(g, projected, unsqueeze(g, selectedWeights, -1));
  const inverse = g.call('aten.index_put_', [g.call('aten.empty_like', [order], order), [order], arange(g, pairs)], order);
  const restored = g.call('aten.index.Tensor', [weighted, [inverse]], weighted);
  const perExpert = view(g, restored, [times(batch, length), perToken, features]);
  const summed = reduce(g, 'aten.sum.dim_IntList', perExpert, [1]);
  return g.call('aten.type_as', [summed, tokens], { shape: summed.shape, dtype: tokens.dtype });
}

/** The load-balancing loss over all layers' routers, added to the language loss. */
export function addRouterLoss(
  { g, batch, length }: Text,
  loss: Value,
  { count, perToken, lossFactor }: Experts,
  routers: readonly Value[],
): Value {
  if (lossFactor === null) return loss;
  const pairs = times(batch, length, routers.length);
  let loads = filled(g, 'aten.zeros', [count], 'float32');
  let shares = filled(g, 'aten.zeros', [count], 'float32');
  for (const logits of routers) {
    const probabilities = softmax(g, logits, -1);
    const [, chosen] = topExperts(g, probabilities, perToken);
    const flat = toDtype(g, reshape(g, chosen, [-1]), 'int32');
    loads = add(g, loads, g.call('aten.histc', [flat, count, 0, count], { shape: [count], dtype: 'int32' }));
    shares = add(g, shares, reduce(g, 'aten.sum.dim_IntList', toDtype(g, probabilities, 'float32'), [0]));
  }
  const divide = (x: Value): Value => g.call('aten.div.Tensor', [x, size(pairs)], x);
  const balance = mul(g, divide(loads), unsqueeze(g, divide(shares), 0));
  const total = g.call('aten.sum', [balance], { shape: [], dtype: 'float32' });
  return addInPlace(g, loss, mul(g, mul(g, total, count), lossFactor));
}
