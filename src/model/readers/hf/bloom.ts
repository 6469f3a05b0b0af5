/** BLOOM: ALiBi biases instead of positions, one product for scores and bias. */

import { times } from '../../arithmetic.js';
import { causalMask } from '../../blocks/masks.js';
import { castLike, dropoutModule, embeddingModule, layerNormModule, linearModule } from '../../blocks/modules.js';
import { size, type Value } from '../../builder.js';
import type { ModelGraph, Size } from '../../graph.js';
import { add, dropout, mul, softmax, toDtype } from '../../ops/elementwise.js';
import { arange } from '../../ops/layers.js';
import { cat, permute, reshape, select, transpose, unsqueeze, view } from '../../ops/views.js';
import type { Head } from '../../options.js';
import { type Config, checkDivides, numeric, probability, readConfig, truth, whole } from './config.js';
import { finishCausal, finishLastToken, finishTokens } from './heads.js';
import { beginText, type Request, type Text, unsupportedHead } from './text.js';

const FIELDS = {
  vocab_size: whole(250880),
  hidden_size: whole(64),
  n_layer: whole(2),
  n_head: whole(8),
  layer_norm_epsilon: numeric(1e-5),
  apply_residual_connection_post_layernorm: truth(false),
  hidden_dropout: probability(0),
  attention_dropout: probability(0),
  classifier_dropout: probability(null),
  tie_word_embeddings: truth(true),
  pad_token_id: numeric(null),
};
type Bloom = Config<typeof FIELDS>;
const ALIASES = { n_embed: 'hidden_size', num_hidden_layers: 'n_layer', num_attention_heads: 'n_head' };
const HEADS: Head[] = ['causal-lm', 'sequence-classification', 'token-classification'];

/** Reads a BLOOM config. */
export function readBloom(request: Request): ModelGraph {
  if (!HEADS.includes(request.head)) throw unsupportedHead(request, HEADS);
  const config = readConfig(request.raw, FIELDS, request.file, ALIASES);
  checkDivides(request.file, ['hidden_size', config.hidden_size], ['n_head', config.n_head]);
  const text = beginText(request, config.vocab_size, { usual: 2048 });
  const hidden = text.g.inModule('transformer', () => backbone(text, config));
  if (request.head === 'sequence-classification') return finishLastToken(text, hidden, config.pad_token_id ?? 0, 'as-they-are');
  if (request.head === 'token-classification') {
    return finishTokens(text, hidden, { name: 'classifier', dropout: config.classifier_dropout ?? config.hidden_dropout, float32: false });
  }
  return finishCausal(text, hidden, { tied: config.tie_word_embeddings ? text.g.weight('transformer.word_embeddings.weight') : null });
}

function backbone(text: Text, config: Bloom): Value {
  const { g, batch, length } = text;
  const tokens = embeddingModule(g, 'word_embeddings', text.ids, config.vocab_size, config.hidden_size);
  g.holdInLocals([tokens]);
  let hidden = layerNormModule(g, 'word_embeddings_layernorm', tokens, config.layer_norm_epsilon);
  const bias = alibi(text, config);
  const mask = causalMask(g, { batch, length, positions: null, eager: true }) as Value;
  for (let layer = 0; layer < config.n_layer; layer++) {
    const [output, weights] = g.inCheckpoint(`h.${layer}`, () => block(text, config, hidden, bias, mask));
    // `outputs` has the weights of one layer until the next one's are there.
    if (layer + 1 < config.n_layer) g.holdUntilReturned([weights], `h.${layer + 1}`);
    else g.holdInLocals([weights]);
    hidden = output;
  }
  return layerNormModule(g, 'ln_f', hidden, config.layer_norm_epsilon);
}

/** A slope for each head times the position: [B * heads, 1, S]. */
function alibi({ g, batch, length }: Text, config: Bloom): Value {
  const heads = config.n_head;
  const power = 2 ** Math.floor(Math.log2(heads));
  const slopesOf = (base: number, end: number, step: number): Value => {
    const count = Math.ceil((end - 1) / step);
    const range = { shape: [count], dtype: 'int32' as const };
    const scalar = g.call('aten.full', [[], base], { shape: [], dtype: 'float32' }, { dtype: 'float32' });
    const [op, args] = step === 1 ? ['aten.arange.start', [1, end]] : ['aten.arange.start_step', [1, end, step]];
    return g.call('aten.pow.Tensor_Tensor', [scalar, g.call(op as string, args as number[], range, { dtype: 'int32' })], {
      shape: [count],
      dtype: 'float32',
    });
  };
  const base = (count: number): number => 2 ** -(2 ** -(Math.log2(count) - 3));
  let slopes = slopesOf(base(power), 1 + power, 1);
  if (power !== heads) slopes = cat(g, [slopes, slopesOf(base(2 * power), 1 + 2 * Math.min(power, heads - power), 2)]);
  const product = mul(g, unsqueeze(g, unsqueeze(g, slopes, 1), 2), arange(g, length));
  const repeated = g.call('aten.repeat', [product, [size(batch), 1, 1]], { shape: [times(batch, heads), 1, length], dtype: 'float32' });
  return toDtype(g, repeated, 'model');
}

function block(text: Text, config: Bloom, x: Value, bias: Value, mask: Value): [output: Value, weights: Value] {
  const { g } = text;
  const after = config.apply_residual_connection_post_layernorm;
  const normed = layerNormModule(g, 'input_layernorm', x, config.layer_norm_epsilon);
  const [hidden, weights] = g.inModule('self_attention', () => attention(text, config, normed, after ? normed : x, bias, mask));
  const second = layerNormModule(g, 'post_attention_layernorm', hidden, config.layer_norm_epsilon);
  g.holdInLocals([normed], second);
  g.holdInLocals([hidden, second]);
  const output = g.inModule('mlp', () => {
    const inner = linearModule(g, 'dense_h_to_4h', second, 4 * config.hidden_size);
    const active = g.inModule('gelu_impl', () => g.call('transformers.bloom_gelu', [inner], inner));
    const fed = linearModule(g, 'dense_4h_to_h', active, config.hidden_size);
    g.holdInLocals([active, fed]);
    return add(g, after ? second : hidden, dropout(g, fed, config.hidden_dropout));
  });
  return [output, weights];
}

function attention(text: Text, config: Bloom, x: Value, residual: Value, bias: Value, mask: Value): [output: Value, weights: Value] {
  const { g, batch, length } = text;
  const { n_head: heads, hidden_size: features } = config;
  const headSize = features / heads;
  const rows = times(batch, heads);
  const fused = view(g, linearModule(g, 'query_key_value', x, 3 * features), [batch, length, heads, 3, headSize]);
  const [q, k, v] = [0, 1, 2].map((part) => transpose(g, select(g, fused, 3, part), 1, 2)) as [Value, Value, Value];
  const flat = (value: Value): Value => reshape(g, value, [rows, -1, headSize]);
  const query = flat(q);
  const key = transpose(g, flat(k), -1, -2);
  const value = flat(v);
  const scoresShape = { shape: [rows, length, length] as Size[], dtype: 'model' as const };
  const scores = g.call('aten.baddbmm', [bias, query, key], scoresShape, { beta: 1, alpha: 1 / Math.sqrt(headSize) });
  const masked = add(g, view(g, scores, [batch, heads, length, -1]), mask);
  g.holdInLocals([q, k, v, query, key, value, scores, masked]);
  const weights = dropoutModule(g, 'attention_dropout', castLike(g, softmax(g, masked, -1, 'float32'), query), config.attention_dropout);
  const product = view(g, weights, [rows, length, -1]);
  const context = g.call('aten.bmm', [product, value], { shape: [rows, length, headSize], dtype: 'model' });
  const merged = reshape(g, permute(g, view(g, context, [batch, heads, length, headSize]), [0, 2, 1, 3]), [batch, length, features]);
  const projected = linearModule(g, 'dense', merged, features);
  g.holdInLocals([merged, projected]);
  return [add(g, residual, dropout(g, projected, config.hidden_dropout)), weights];
}
