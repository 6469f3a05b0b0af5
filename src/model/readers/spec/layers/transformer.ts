/** Layers of transformers: tokens, positions, patches, attention, feed-forward. */
import { add, dropout as applyDropout, gelu, unary } from '../../../ops/elementwise.js';
import { arange, attention as attend, conv2d, embedding as embed } from '../../../ops/layers.js';
import { cat, expand, flatten, permute, reshape, transpose, unbind } from '../../../ops/views.js';
import { choice, flag, integer, real, specError } from '../fields.js';
import { expectImage, expectSequence, fixedExtent, type Layer, layer } from '../layer.js';
import { linearLayer } from './weights.js';

/** Token ids [B, S] to vectors [B, S, features]. */
const embedding = layer('features', { features: integer() }, ({ g, place, tokens }, x, { features }) => {
  if (!tokens || x.dtype !== 'int64')
    throw specError(place, 'expected token ids', 'begin with "input: {tokens: ...}" and make it the first layer');
  return embed(g, g.parameter('weight', [tokens.vocabulary, features]), x);
});

/** Learned positions: a table for token sequences, one parameter for sequences of a fixed length. */
const positions = layer(null, {}, ({ g, place, tokens, limitLength }, x) => {
  expectSequence(x, place);
  const [, length] = x.shape;
  const features = fixedExtent(x.shape[2], place);
  if (length !== 'S' || !tokens) return add(g, x, g.parameter('weight', [1, fixedExtent(length, place), features]));
  limitLength(tokens.longest);
  return add(g, x, embed(g, g.parameter('weight', [tokens.longest, features]), arange(g, length)));
});

/** An image to a sequence of patches [B, patches, features]. */
const patches = layer(null, { size: integer(), features: integer() }, ({ g, place }, x, { size, features }) => {
  expectImage(x, place);
  const weight = g.parameter('weight', [features, fixedExtent(x.shape[1], place), size, size]);
  return transpose(g, flatten(g, conv2d(g, x, weight, g.parameter('bias', [features]), { stride: size }), 2), 1, 2);
});

/** A learned token in front of the sequence. */
const classtoken = layer(null, {}, ({ g, place }, x) => {
  expectSequence(x, place);
  const token = expand(g, g.parameter('weight', [1, 1, fixedExtent(x.shape[2], place)]), [x.shape[0] ?? 'B', -1, -1]);
  return cat(g, [token, x], 1);
});

/** Multi-head self-attention with one projection for queries, keys and values. */
const attention = layer(
  'heads',
  { heads: integer(), causal: flag(false), bias: flag(true), dropout: real(0, 0, 1), 'output-dropout': real(0, 0, 1) },
  ({ g, place }, x, fields) => {
    expectSequence(x, place);
    const [batch, length] = [x.shape[0] ?? 'B', x.shape[1] ?? 1];
    const features = fixedExtent(x.shape[2], place);
    if (features % fields.heads !== 0) throw specError(place, `heads: ${fields.heads} does not divide the ${features} features`);
    const qkv = linearLayer(g, x, 'qkv', features, 3 * features, fields.bias);
    const parts = permute(g, reshape(g, qkv, [batch, length, 3, fields.heads, features / fields.heads]), [2, 0, 3, 1, 4]);
    const [q, k, v] = unbind(g, parts);
    if (!q || !k || !v) throw new Error('unbind of three gave fewer');
    const mixed = attend(g, q, k, v, { dropout: fields.dropout, causal: fields.causal });
    const joined = reshape(g, transpose(g, mixed, 1, 2), [batch, length, features]);
    return applyDropout(g, linearLayer(g, joined, 'proj', features, features), fields['output-dropout']);
  },
);

/** Two linear layers with an activation between them. */
const mlp = layer(
  'hidden',
  { hidden: integer(), activation: choice(['gelu', 'gelu-tanh', 'relu', 'silu'], 'gelu'), dropout: real(0, 0, 1), bias: flag(true) },
  ({ g, place }, x, { hidden, activation, dropout, bias }) => {
    const features = fixedExtent(x.shape.at(-1), place);
    const inner = linearLayer(g, x, 'fc1', features, hidden, bias);
    const active = activation.startsWith('gelu')
      ? gelu(g, inner, activation === 'gelu-tanh' ? 'tanh' : undefined)
      : unary(g, `aten.${activation}`, inner);
    return applyDropout(g, linearLayer(g, applyDropout(g, active, dropout), 'fc2', hidden, features, bias), dropout);
  },
);

export const TRANSFORMER_LAYERS: Record<string, Layer> = { embedding, positions, patches, classtoken, attention, mlp };
