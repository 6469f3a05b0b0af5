/** DeBERTa's disentangled attention: scores of content with content, with positions, and of positions with content. */
import { times } from '../arithmetic.js';
import { type GraphBuilder, size, type Value } from '../builder.js';
import type { Size } from '../graph.js';
import { add, addInPlace, binary, compare, div, mul, softmax, sub, toDtype, unary } from '../ops/elementwise.js';
import { contiguous, expand, permute, squeeze, transpose, unsqueeze, view } from '../ops/views.js';
import { LOWEST } from './masks.js';
import { dropoutModule, linearModule } from './modules.js';

export interface Disentangled {
  batch: Size;
  length: Size;
  heads: number;
  headSize: number;
  /** Rows of the table of relative embeddings are twice this. */
  span: number;
  /** Relative positions are put in buckets above this distance; 0 is none. */
  buckets: number;
  longest: number;
  /** Content to position, position to content. */
  kinds: { contentToPosition: boolean; positionToContent: boolean };
  /** Positions go through the content's own projections. */
  shared: boolean;
  dropout: number;
  positionDropout: number;
}

/** Relative positions [1, S, S] of queries to keys, in logarithmic buckets where the table has fewer rows. */
export function relativePositions(g: GraphBuilder, { length, buckets, longest }: Disentangled): Value {
  const range = (): Value => g.call('aten.arange', [size(length)], { shape: [length], dtype: 'int64' }, { dtype: 'int64' });
  const [rows, columns] = [range(), range()];
  const relative = sub(g, unsqueeze(g, rows, 1), unsqueeze(g, columns, 0));
  if (buckets <= 0) return unsqueeze(g, relative, 0);
  const half = Math.floor(buckets / 2);
  const sign = unary(g, 'aten.sign', relative);
  const near = binary(
    g,
    'aten.__and__.Tensor',
    compare(g, 'aten.lt.Scalar', relative, half),
    compare(g, 'aten.gt.Scalar', relative, -half),
  );
  const fixed = g.call('aten.full', [[], half - 1], { shape: [], dtype: 'int64' }, { dtype: 'int64' });
  const distance = g.call('aten.where.self', [near, fixed, unary(g, 'aten.abs', relative)], relative);
  const ratio = g.call('aten.div.Tensor', [distance, half], { shape: relative.shape, dtype: 'float32' });
  const scaled = mul(g, div(g, unary(g, 'aten.log', ratio), Math.log((longest - 1) / half)), half - 1);
  const bucket = add(g, unary(g, 'aten.ceil', scaled), half);
  const close = compare(g, 'aten.le.Scalar', distance, half);
  const exact = g.call('aten.type_as', [relative, bucket], bucket);
  const chosen = g.call('aten.where.self', [close, exact, mul(g, bucket, sign)], bucket);
  return unsqueeze(g, toDtype(g, chosen, 'int64'), 0);
}

/** Self-attention without its output projection; `relative` and `embeddings` are null without relative attention. */
export function disentangledAttention(
  g: GraphBuilder,
  x: Value,
  mask: Value,
  relative: Value | null,
  embeddings: Value | null,
  options: Disentangled,
): Value {
  const { heads, headSize, kinds, length } = options;
  const features = heads * headSize;
  const project = (name: string, input: Value): Value => byHead(g, linearModule(g, name, input, features), heads);
  const [query, key, value] = [project('query_proj', x), project('key_proj', x), project('value_proj', x)];
  const parts = 1 + Number(kinds.contentToPosition) + Number(kinds.positionToContent);
  const scale = Math.sqrt(headSize * parts);
  g.holdInLocals([query, key, value]);
  const product = (a: Value, b: Value): Value =>
    g.call('aten.bmm', [a, b], { shape: [...a.shape.slice(0, 2), b.shape[2] as Size], dtype: a.dtype });
  let scores = product(query, div(g, transpose(g, key, -1, -2), scale));
  if (relative && embeddings) {
    const dropped = dropoutModule(g, 'pos_dropout', embeddings, options.positionDropout);
    const bias = positionScores(g, { query, key, relative, embeddings: dropped, scale, product, project }, options);
    if (bias) {
      scores = add(g, scores, bias);
      g.holdInLocals([bias]);
    }
  }
  const shaped = view(g, scores, [-1, heads, length, length]);
  const hidden = unary(g, 'aten.bitwise_not', toDtype(g, mask, 'bool'));
  const masked = g.call('aten.masked_fill.Scalar', [shaped, hidden, LOWEST], shaped);
  const weights = dropoutModule(g, 'dropout', softmax(g, masked, -1), options.dropout);
  const context = product(view(g, weights, [-1, length, length]), value);
  const merged = contiguous(g, permute(g, view(g, context, [-1, heads, length, headSize]), [0, 2, 1, 3]));
  return view(g, merged, [options.batch, length, -1]);
}

interface PositionParts {
  query: Value;
  key: Value;
  relative: Value;
  embeddings: Value;
  scale: number;
  product: (a: Value, b: Value) => Value;
  project: (name: string, input: Value) => Value;
}

/** The scores that positions add, [B * heads, S, S]; null where the model has neither kind. */
function positionScores(g: GraphBuilder, parts: PositionParts, options: Disentangled): Value | null {
  const { scale, product } = parts;
  const { batch, heads, length, span, kinds, shared } = options;
  const rows = times(batch, heads);
  const relative = unsqueeze(g, parts.relative, 1);
  const table = unsqueeze(g, parts.embeddings, 0);
  const repeated = (name: string): Value => {
    const projected = parts.project(name, table);
    return g.call('aten.repeat', [projected, [size(batch), 1, 1]], { shape: [rows, ...projected.shape.slice(1)], dtype: projected.dtype });
  };
  const sharedQuery = shared ? repeated('query_proj') : null;
  const positionKey = shared ? repeated('key_proj') : kinds.contentToPosition ? repeated('pos_key_proj') : null;
  const positionQuery = sharedQuery ?? (kinds.positionToContent ? repeated('pos_query_proj') : null);
  const place = (places: Value): Value => g.call('aten.clamp', [add(g, places, span), 0, 2 * span - 1], places);
  const gather = (scores: Value, places: Value): Value => {
    const spread = expand(g, squeeze(g, places, 0), [rows, length, length]);
    return g.call('aten.gather', [scores, -1, spread], { shape: spread.shape, dtype: scores.dtype });
  };
  let total: Value | null = null;
  if (kinds.contentToPosition && positionKey) {
    const scores = product(parts.query, transpose(g, positionKey, -1, -2));
    total = add(g, div(g, gather(scores, place(relative)), scale), 0);
  }
  if (kinds.positionToContent && positionQuery) {
    const places = place(unary(g, 'aten.neg', relative));
    const scores = product(parts.key, transpose(g, positionQuery, -1, -2));
    const scaled = div(g, transpose(g, gather(scores, places), -1, -2), scale);
    total = total ? addInPlace(g, total, scaled) : add(g, scaled, 0);
  }
  return total;
}

/** [N, S, heads * size] to [N * heads, S, size]. */
function byHead(g: GraphBuilder, x: Value, heads: number): Value {
  const [rows, length, features] = x.shape as [Size, Size, number];
  const split = permute(g, view(g, x, [rows, length, heads, -1]), [0, 2, 1, 3]);
  return view(g, contiguous(g, split), [-1, length, features / heads]);
}
