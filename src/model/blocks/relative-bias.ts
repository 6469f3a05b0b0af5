/** T5's relative position bias: distances in buckets, exact for near ones and logarithmic for far ones. */
import { type GraphBuilder, size, type Value } from '../builder.js';
import type { Size } from '../graph.js';
import { add, addInPlace, binary, compare, div, mul, sub, toDtype, unary } from '../ops/elementwise.js';
import { embedding } from '../ops/layers.js';
import { permute, unsqueeze } from '../ops/views.js';

export interface RelativeBias {
  length: Size;
  heads: number;
  buckets: number;
  distance: number;
  /** Both directions share the buckets (an encoder). */
  bidirectional: boolean;
}

/** The bias [1, heads, S, S], from the running module's table of buckets. */
export function relativeBias(g: GraphBuilder, options: RelativeBias): Value {
  const { length, heads, buckets, bidirectional } = options;
  const range = (): Value => g.call('aten.arange', [size(length)], { shape: [length], dtype: 'int64' }, { dtype: 'int64' });
  const rows = add(g, unsqueeze(g, range(), 1), 0);
  const columns = unsqueeze(g, range(), 0);
  const relative = sub(g, columns, rows);
  const bucket = bidirectional ? twoSided(g, relative, options) : oneSided(g, relative, options);
  const values = g.inModule('relative_attention_bias', () => embedding(g, g.parameter('weight', [buckets, heads]), bucket));
  return unsqueeze(g, permute(g, values, [2, 0, 1]), 0);
}

function twoSided(g: GraphBuilder, relative: Value, { buckets, distance }: RelativeBias): Value {
  const half = buckets / 2;
  const later = toDtype(g, compare(g, 'aten.gt.Scalar', relative, 0), 'int64');
  const offset = add(g, mul(g, later, half), 0);
  return addInPlace(g, offset, bucketed(g, unary(g, 'aten.abs', relative), half, distance));
}

function oneSided(g: GraphBuilder, relative: Value, { buckets, distance }: RelativeBias): Value {
  const zeros = unary(g, 'aten.zeros_like', relative);
  const past = unary(g, 'aten.neg', binary(g, 'aten.min.other', relative, zeros));
  return add(g, bucketed(g, past, buckets, distance), 0);
}

function bucketed(g: GraphBuilder, distances: Value, buckets: number, longest: number): Value {
  const exact = buckets / 2;
  const near = compare(g, 'aten.lt.Scalar', distances, exact);
  const ratio = unary(g, 'aten.log', div(g, toDtype(g, distances, 'float32'), exact));
  const scaled = mul(g, div(g, ratio, Math.log(longest / exact)), buckets - exact);
  const far = add(g, toDtype(g, scaled, 'int64'), exact);
  const last = g.call('aten.full_like', [far, buckets - 1], far);
  const capped = binary(g, 'aten.min.other', far, last);
  return g.call('aten.where.self', [near, distances, capped], distances);
}
