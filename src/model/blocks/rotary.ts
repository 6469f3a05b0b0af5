/** Rotary position embeddings. */
import type { GraphBuilder, Value } from '../builder.js';
import { add, mul, toDtype, unary } from '../ops/elementwise.js';
import { cat, slice, unsqueeze } from '../ops/views.js';

export interface RotaryTables {
  cos: Value;
  sin: Value;
}

/** The module that makes the tables [1, S, size] from positions [1, S]; float32 inside, in the weights' dtype after. */
export function rotaryTables(g: GraphBuilder, name: string, positions: Value, headSize: number, scaling = 1): RotaryTables {
  return g.inModule(name, () => {
    const frequencies = g.buffer('inv_freq', [Math.ceil(headSize / 2)], 'float32');
    g.buffer('original_inv_freq', [Math.ceil(headSize / 2)], 'float32');
    const angles = mul(g, toDtype(g, unsqueeze(g, positions, 2), 'float32'), frequencies);
    const both = cat(g, [angles, angles], -1);
    const cos = mul(g, unary(g, 'aten.cos', both), scaling);
    const sin = mul(g, unary(g, 'aten.sin', both), scaling);
    return { cos: toDtype(g, cos, 'model'), sin: toDtype(g, sin, 'model') };
  });
}

/** Rotates queries and keys [B, heads, S, size]. */
export function applyRotary(g: GraphBuilder, q: Value, k: Value, tables: RotaryTables): [Value, Value] {
  const [cos, sin] = spread(g, tables);
  const [query, key] = [rotate(g, q, cos, sin), rotate(g, k, cos, sin)];
  g.holdInLocals([q, k], key);
  return [query, key];
}

/** Rotates the first `rotated` features of each head and leaves the rest; `cutFirst` says in which order (Phi) it is done. */
export function applyPartialRotary(
  g: GraphBuilder,
  q: Value,
  k: Value,
  tables: RotaryTables,
  rotated: number,
  cutFirst = false,
): [Value, Value] {
  const early = cutFirst ? null : spread(g, tables);
  const cut = (x: Value): [Value, Value] => [slice(g, x, 3, 0, rotated), slice(g, x, 3, rotated)];
  const [[qTurn, qKeep], [kTurn, kKeep]] = [cut(q), cut(k)];
  const [cos, sin] = early ?? spread(g, tables);
  const [qTurned, kTurned] = [rotate(g, qTurn, cos, sin), rotate(g, kTurn, cos, sin)];
  // Phi's attention cuts in its own code: the parts stay until it returns.
  if (cutFirst) g.holdInLocals([qTurned, qKeep, kTurned, kKeep]);
  const [query, key] = [cat(g, [qTurned, qKeep], -1), cat(g, [kTurned, kKeep], -1)];
  g.holdInLocals([q], cutFirst ? query : key);
  g.holdInLocals([k], key);
  return [query, key];
}

/** The tables [1, 1, S, size]. */
function spread(g: GraphBuilder, tables: RotaryTables): [cos: Value, sin: Value] {
  return [unsqueeze(g, tables.cos, 1), unsqueeze(g, tables.sin, 1)];
}

/** x * cos + rotate_half(x) * sin, where rotate_half(x1, x2) is (-x2, x1). */
export function rotate(g: GraphBuilder, x: Value, cos: Value, sin: Value): Value {
  const straight = mul(g, x, cos);
  const half = Number(x.shape[3]) >> 1;
  const first = slice(g, x, 3, 0, half);
  const second = slice(g, x, 3, half);
  const turned = cat(g, [unary(g, 'aten.neg', second), first], -1);
  return add(g, straight, mul(g, turned, sin));
}
