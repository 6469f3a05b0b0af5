/** GPT-2's written-out attention as transformers had it up to 4.47: a causal mask in each layer's buffer, two divisions. */

import { LOWEST } from '../../blocks/masks.js';
import { castLike, dropoutModule } from '../../blocks/modules.js';
import type { GraphBuilder, Value } from '../../builder.js';
import type { Size } from '../../graph.js';
import { div, softmax } from '../../ops/elementwise.js';
import { matmul } from '../../ops/layers.js';
import { contiguous, permute, slice, transpose, view } from '../../ops/views.js';
import type { Gpt2 } from './gpt2.js';

/** From query, key and value [B, S, features] to the joined heads [B, S, features]. */
export function legacyAttention(
  g: GraphBuilder,
  place: { batch: Size; length: Size; layer: number },
  config: Gpt2,
  parts: [Value, Value, Value],
): Value {
  const { batch, length, layer } = place;
  const headSize = config.n_embd / config.n_head;
  const heads = (x: Value): Value => permute(g, view(g, x, [batch, length, config.n_head, headSize]), [0, 2, 1, 3]);
  const [q, k, v] = parts.map(heads) as [Value, Value, Value];
  const scalar = (value: number): Value => g.call('aten.full', [[], value], { shape: [], dtype: 'model' }, { dtype: 'model' });
  let scores = matmul(g, q, transpose(g, k, -1, -2));
  if (config.scale_attn_weights) scores = div(g, scores, scalar(headSize ** 0.5));
  if (config.scale_attn_by_inverse_layer_idx) scores = div(g, scores, layer + 1);
  const triangle = g.buffer('bias', [1, 1, config.n_positions, config.n_positions], 'bool');
  g.buffer('masked_bias', [], 'float32');
  const seen = slice(g, slice(g, triangle, 2, 0, length), 3, 0, length);
  scores = g.call('aten.where.self', [seen, scores, scalar(LOWEST)], scores);
  const weights = dropoutModule(g, 'attn_dropout', castLike(g, softmax(g, scores, -1), v), config.attn_pdrop);
  return view(g, contiguous(g, permute(g, matmul(g, weights, v), [0, 2, 1, 3])), [batch, length, config.n_embd]);
}
