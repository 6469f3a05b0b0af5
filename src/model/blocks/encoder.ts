/** Parts of bidirectional encoders: position and token-type ids, the post-norm block, self-attention. */

import type { GraphBuilder, Value } from '../builder.js';
import type { Size } from '../graph.js';
import { add, binary, compare, toDtype } from '../ops/elementwise.js';
import { expand, slice } from '../ops/views.js';
import { attendFused, attendWrittenOut, joinHeads, splitHeads } from './attention.js';
import { type Activation, activationModule, dropoutModule, layerNormModule, linearModule } from './modules.js';

/** The first S of the positions that the embedding module holds in a buffer: [1, S]. */
export function bufferPositions(g: GraphBuilder, count: number, length: Size): Value {
  return slice(g, g.buffer('position_ids', [1, count], 'int64'), 1, 0, length);
}

/** RoBERTa's positions [B, S]: counted from `padding` + 1 over tokens that are not padding. */
export function paddedPositions(g: GraphBuilder, ids: Value, padding: number): Value {
  const present = toDtype(g, compare(g, 'aten.ne.Scalar', ids, padding), 'int32');
  const counted = g.call('aten.cumsum', [present, 1], { shape: ids.shape, dtype: 'int64' });
  const cast = g.call('aten.type_as', [counted, present], present);
  const kept = binary(g, 'aten.mul.Tensor', binary(g, 'aten.add.Tensor', cast, 0), present);
  return binary(g, 'aten.add.Tensor', toDtype(g, kept, 'int64'), padding);
}

/** Token-type ids [B, S], all zero: gathered from the embedding module's buffer at the positions. */
export function tokenTypes(g: GraphBuilder, count: number, positions: Value, shape: readonly [Size, Size]): Value {
  const zeros = g.buffer('token_type_ids', [1, count], 'int64');
  const rows = expand(g, zeros, [positions.shape[0] as Size, -1]);
  return expand(g, g.call('aten.gather', [rows, 1, positions], positions), shape);
}

export interface SelfAttention {
  heads: number;
  /** Names of the projections. */
  names: readonly [query: string, key: string, value: string];
  mask?: Value | null;
  causal?: boolean;
  dropout: number;
  eager: boolean;
}

/** Self-attention without its output projection: [B, S, features] to the same. */
export function selfAttention(g: GraphBuilder, x: Value, options: SelfAttention): Value {
  const features = Number(x.shape[2]);
  const headSize = Math.floor(features / options.heads);
  const [q, k, v] = options.names.map((name) => splitHeads(g, linearModule(g, name, x, features), headSize)) as [Value, Value, Value];
  const inner = { mask: options.mask ?? null, causal: options.causal ?? false, scale: headSize ** -0.5, dropout: options.dropout };
  return joinHeads(g, options.eager ? attendWrittenOut(g, q, k, v, { ...inner, style: 'bert' }) : attendFused(g, q, k, v, inner));
}

/** dense, dropout, and the norm of the sum with the block's input: BERT's output modules. */
export function postNorm(g: GraphBuilder, name: string, x: Value, residual: Value, options: { dropout: number; eps: number }): Value {
  return g.inModule(name, () => {
    const projected = dropoutModule(g, 'dropout', linearModule(g, 'dense', x, Number(residual.shape[2])), options.dropout);
    g.holdInLocals([projected]);
    return layerNormModule(g, 'LayerNorm', add(g, projected, residual), options.eps);
  });
}

/** BERT's intermediate module. */
export function intermediate(g: GraphBuilder, x: Value, width: number, activation: Activation): Value {
  return g.inModule('intermediate', () => activationModule(g, 'intermediate_act_fn', linearModule(g, 'dense', x, width), activation));
}
