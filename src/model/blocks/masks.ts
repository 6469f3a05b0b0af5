/** Attention masks as transformers makes them when a batch has no padding mask. */
import type { GraphBuilder, Value } from '../builder.js';
import type { DType, Size } from '../graph.js';
import { binary, compare } from '../ops/elementwise.js';
import { arange, filled } from '../ops/layers.js';
import { expand, unsqueeze } from '../ops/views.js';

/** Stands for the lowest number of a dtype: as low as float16 goes, so that it fits all. */
export const LOWEST = -65504;

export interface MaskOptions {
  batch: Size;
  length: Size;
  /** Positions [1, S], looked at for several sequences in one; null where the model has none at hand. */
  positions: Value | null;
  /** Positions that a token sees, of sliding-window attention. */
  window?: number | null;
  /** Attention written out adds a float mask; the fused one takes a boolean, and none where `is_causal` says it all. */
  eager: boolean;
  /** The mask's dtype where it is a float. */
  dtype?: DType;
}

/** The causal mask [B, 1, S, S], or null where the fused attention needs none. */
export function causalMask(g: GraphBuilder, options: MaskOptions): Value | null {
  const { batch, length, positions, window = null, eager } = options;
  if (positions) expand(g, positions, [batch, -1]);
  if (!eager && window === null) return null;
  const seen = visibleKeys(g, batch, length, length, (keys, queries) => {
    if (window === null) return compare(g, 'aten.le.Tensor', keys, queries);
    const ones = g.call('aten.new_ones', [queries, []], { shape: [], dtype: 'bool' }, { dtype: 'bool' });
    const near = compare(g, 'aten.gt.Tensor', keys, binary(g, 'aten.sub.Tensor', queries, window));
    const recent = bitwiseAnd(g, bitwiseAnd(g, ones, near), compare(g, 'aten.le.Tensor', keys, queries));
    return recent;
  });
  return eager ? asAddend(g, seen, options.dtype ?? 'model') : seen;
}

/** Positions of queries and keys compared: a boolean [B, 1, queries, keys]. */
export function visibleKeys(g: GraphBuilder, batch: Size, queries: Size, keys: Size, rule: (keys: Value, queries: Value) => Value): Value {
  const [batches, heads] = [arange(g, batch), arange(g, 1)];
  const rows = binary(g, 'aten.add.Tensor', arange(g, queries), 0);
  const columns = binary(g, 'aten.add.Tensor', arange(g, keys), 0);
  // x[:, None, None, None] and its kin: one unsqueeze an axis.
  const axes = (x: Value, ...dims: number[]): Value => dims.reduce((value, dim) => unsqueeze(g, value, dim), x);
  axes(batches, 1, 2, 3);
  axes(heads, 0, 2, 3);
  const rowAxis = axes(rows, 0, 1, 3);
  const columnAxis = axes(columns, 0, 1, 2);
  return expand(g, rule(columnAxis, rowAxis), [batch, -1, queries, keys]);
}

/** 0 where the mask is true, the lowest number where not. */
export function asAddend(g: GraphBuilder, mask: Value, dtype: DType): Value {
  const zero = filled(g, 'aten.zeros', [], dtype);
  return g.call('aten.where.ScalarOther', [mask, zero, LOWEST], { shape: mask.shape, dtype });
}

function bitwiseAnd(g: GraphBuilder, a: Value, b: Value): Value {
  return binary(g, 'aten.__and__.Tensor', a, b);
}
