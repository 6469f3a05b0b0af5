/** Attention of language models: fused (scaled_dot_product_attention) or written out, as transformers calls each. */
import { times } from '../arithmetic.js';
import type { GraphBuilder, Value } from '../builder.js';
import type { Size } from '../graph.js';
import { add, dropout as applyDropout, mul, softmax } from '../ops/elementwise.js';
import { attention as fusedAttention, matmul } from '../ops/layers.js';
import { contiguous, expand, reshape, transpose, unsqueeze, view } from '../ops/views.js';
import { castLike } from './modules.js';

export interface HeadOptions {
  /** Query heads for each key and value head. */
  groups?: number;
  mask: Value | null;
  causal: boolean;
  scale: number;
  dropout: number;
  /** Fused attention gets queries, keys and values as dense copies (transformers 4.48 to 4.55). */
  copies?: boolean;
}

/** [B, S, heads * size] to [B, heads, S, size]. */
export function splitHeads(g: GraphBuilder, x: Value, headSize: number): Value {
  const [batch, length] = x.shape as [Size, Size];
  return transpose(g, view(g, x, [batch, length, -1, headSize]), 1, 2);
}

/** [B, S, heads, size] to [B, S, heads * size]. */
export function joinHeads(g: GraphBuilder, x: Value): Value {
  return reshape(g, x, [...x.shape.slice(0, 2), -1]);
}

/** Keys or values repeated for each group of query heads: [B, kv, S, E] to [B, kv * groups, S, E]. */
export function repeatHeads(g: GraphBuilder, x: Value, groups: number): Value {
  if (groups === 1) return x;
  const [batch, heads, length, features] = x.shape as [Size, Size, Size, Size];
  const repeated = expand(g, unsqueeze(g, x, 2), [batch, heads, groups, length, features]);
  return reshape(g, repeated, [batch, times(heads, groups), length, features]);
}

/** Fused attention [B, heads, S, E] to [B, S, heads, E]; a mask rules out the causal flag and shared key heads. */
export function attendFused(g: GraphBuilder, q: Value, k: Value, v: Value, options: HeadOptions): Value {
  const { groups = 1, mask, causal, scale, dropout } = options;
  // transformers repeats the heads itself where the flash kernel can't be had: with a mask, or heads above 256.
  const shared = groups > 1 && mask === null && Number(k.shape[3]) <= 256;
  const repeated = shared ? [q, k, v] : [q, repeatHeads(g, k, groups), repeatHeads(g, v, groups)];
  const [queries, keys, values] = (options.copies ? repeated.map((x) => contiguous(g, x)) : repeated) as [Value, Value, Value];
  g.holdInLocals([q, k, v]);
  const mixed = fusedAttention(g, queries, keys, values, { mask, dropout, causal: causal && mask === null, scale, groupedHeads: shared });
  const [batch, , length, features] = mixed.shape as [Size, Size, Size, Size];
  return contiguous(g, transpose(g, reshape(g, mixed, [batch, -1, length, features]), 1, 2));
}

export interface WrittenOutOptions extends HeadOptions {
  /**
   * How a family writes it: `llama` does the softmax in float32 and casts back to the queries' dtype, `gpt2` casts back to
   * the values' dtype and leaves the result a transposed view, `bert` does neither; `opt` is llama's, transposed from the end.
   */
  style: 'llama' | 'opt' | 'gpt2' | 'bert';
  /** tanh(scores / cap) * cap (Gemma 2). */
  softcap?: number | null;
  /** Added to the scores before the mask (T5). */
  bias?: Value | null;
}

/** Attention written out: scores, mask, softmax, dropout, product. [B, heads, S, E] to [B, S, heads, E]. */
export function attendWrittenOut(g: GraphBuilder, q: Value, k: Value, v: Value, options: WrittenOutOptions): Value {
  const { groups = 1, mask, scale, dropout, style, softcap = null } = options;
  const [keys, values] = [repeatHeads(g, k, groups), repeatHeads(g, v, groups)];
  const turned = style === 'gpt2' || style === 'opt' ? transpose(g, keys, -1, -2) : transpose(g, keys, 2, 3);
  let scores = mul(g, matmul(g, q, turned), scale);
  if (softcap !== null) scores = capSoftly(g, scores, softcap);
  if (options.bias) scores = add(g, scores, options.bias);
  if (mask) scores = add(g, scores, mask);
  let weights = style === 'llama' || style === 'opt' ? castLike(g, softmax(g, scores, -1, 'float32'), q) : softmax(g, scores, -1);
  // One expression takes softmax and cast: the scores are in their variable until it is done.
  g.holdInLocals([scores], weights);
  if (style === 'gpt2') weights = castLike(g, weights, v);
  const dropped = applyDropout(g, weights, dropout);
  const product = matmul(g, dropped, values);
  const mixed = transpose(g, product, 1, 2);
  const result = style === 'gpt2' ? mixed : contiguous(g, mixed);
  g.holdInLocals([q, k, v]);
  g.holdInLocals([keys, values], result);
  // The layer gets the weights too, and leaves them in a variable.
  g.assignInLayer('weights', dropped);
  return result;
}

/** cap * tanh(x / cap). */
export function capSoftly(g: GraphBuilder, x: Value, cap: number): Value {
  const divided = g.call('aten.div.Tensor', [x, cap], x);
  return mul(g, g.call('aten.tanh', [divided], divided), cap);
}
