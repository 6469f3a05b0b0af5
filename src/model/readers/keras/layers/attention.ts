/** Attention, written out as TensorFlow runs it: scores, softmax, dropout, product (keras/src/layers/attention). */
import type { Value } from '../../../builder.js';
import type { Size } from '../../../graph.js';
import { add, dropout, mul, softmax } from '../../../ops/elementwise.js';
import { linear, matmul } from '../../../ops/layers.js';
import { permute, reshape, transpose } from '../../../ops/views.js';
import { layerError, unsupportedLayer } from '../fields.js';
import { expectRank, known, type Layer, type LayerCall } from '../layer.js';

/** A tensor among the arguments, by its name or, without it, by its place. */
function argument({ named, args }: LayerCall, name: string, index: number): Value | undefined {
  const found = named[name] ?? args[index];
  return found !== null && typeof found === 'object' && 'shape' in found ? (found as Value) : undefined;
}

const multiHead: Layer = (call) => {
  const { g, fields, place } = call;
  const query = argument(call, 'query', 0);
  const value = argument(call, 'value', 1) ?? query;
  const key = argument(call, 'key', 2) ?? value;
  if (!query || !value || !key) throw layerError(place, 'expected a query and a value');
  for (const x of [query, key, value]) expectRank(x, 3, place);
  if (fields.raw('use_gate') === true) throw unsupportedLayer(place, 'use_gate is not supported');
  const [heads, size] = [fields.integer('num_heads'), fields.integer('key_dim')];
  const depth = fields.has('value_dim') ? fields.integer('value_dim') : size;
  const bias = fields.flag('use_bias', true);
  const project = (name: string, x: Value, width: number): Value => {
    const weight = call.weight(`${name}.kernel`, [heads * width, known(x.shape[2], place)]);
    const rows = linear(g, x, weight, bias ? call.weight(`${name}.bias`, [heads * width]) : null);
    return permute(g, reshape(g, rows, [...x.shape.slice(0, 2), heads, width]), [0, 2, 1, 3]);
  };
  const [q, k, v] = [project('query', query, size), project('key', key, size), project('value', value, depth)];
  let scores = matmul(g, mul(g, q, size ** -0.5), transpose(g, k, 2, 3));
  const mask = argument(call, 'attention_mask', 4);
  if (mask || call.named.use_causal_mask === true) scores = add(g, scores, addend(call, scores));
  const weights = softmax(g, scores, -1);
  const rate = fields.number('dropout', 0);
  const mixed = permute(g, matmul(g, rate > 0 ? dropout(g, weights, rate) : weights, v), [0, 2, 1, 3]);
  const joined = reshape(g, mixed, [...query.shape.slice(0, 2), heads * depth]);
  const width = fields.has('output_shape') ? Number(fields.list('output_shape')[0]) : known(query.shape[2], place);
  const out = call.weight('attention_output.kernel', [width, heads * depth]);
  const result = linear(g, joined, out, bias ? call.weight('attention_output.bias', [width]) : null);
  const wantsScores = call.named.return_attention_scores === true;
  return wantsScores ? [result, weights] : result;
};

/** What hides later or padded positions, as an addend that all heads share. */
function addend({ g }: LayerCall, scores: Value): Value {
  const shape = [1, 1, ...scores.shape.slice(2)];
  return g.call(
    'aten.zeros',
    [shape.map((extent) => (typeof extent === 'number' ? extent : `=${extent}`))],
    { shape, dtype: 'model' },
    { dtype: 'model' },
  );
}

/** Attention of two or three sequences: the scores are products, or products times one learned factor. */
const plain: Layer = (call) => {
  const { g, fields, inputs, place } = call;
  const [query, value, key = value] = inputs;
  if (!query || !value || !key) throw layerError(place, `expected [query, value] or [query, value, key], found ${inputs.length} inputs`);
  if (fields.raw('score_mode') === 'concat') throw unsupportedLayer(place, 'score_mode "concat" is not supported');
  let scores = matmul(g, query, transpose(g, key, 1, 2));
  if (fields.flag('use_scale', false)) scores = mul(g, scores, call.weight('scale', []));
  const rate = fields.number('dropout', 0);
  const weights = softmax(g, scores, -1);
  const shape: Size[] = [...query.shape.slice(0, 2), value.shape[2] as Size];
  const result = matmul(g, rate > 0 ? dropout(g, weights, rate) : weights, value);
  return { ...result, shape };
};

export const ATTENTION_LAYERS: Record<string, Layer> = { MultiHeadAttention: multiHead, Attention: plain };
