/** GPT-2. */

import { times } from '../../arithmetic.js';
import { attendFused, attendWrittenOut, joinHeads, splitHeads } from '../../blocks/attention.js';
import { causalMask } from '../../blocks/masks.js';
import {
  ACTIVATIONS,
  activationModule,
  castLike,
  conv1dModule,
  dropoutModule,
  embeddingModule,
  layerNormModule,
  positionIds,
} from '../../blocks/modules.js';
import { sizes, type Value } from '../../builder.js';
import type { ModelGraph, Size } from '../../graph.js';
import { add, softmax, toDtype } from '../../ops/elementwise.js';
import { matmul } from '../../ops/layers.js';
import { reshape, split, transpose, view } from '../../ops/views.js';
import type { Head } from '../../options.js';
import { type Config, checkDivides, numeric, probability, readConfig, truth, whole, word } from './config.js';
import { legacyAttention } from './gpt2-legacy.js';
import { finishCausal, finishLastToken, finishTokens } from './heads.js';
import { copiesHeads, isBefore } from './release.js';
import { beginText, type Request, type Text, unsupportedHead } from './text.js';

const FIELDS = {
  vocab_size: whole(50257),
  n_positions: whole(1024),
  n_embd: whole(768),
  n_layer: whole(12),
  n_head: whole(12),
  n_inner: whole(null),
  activation_function: word(ACTIVATIONS, 'gelu_new'),
  resid_pdrop: probability(0.1),
  embd_pdrop: probability(0.1),
  attn_pdrop: probability(0.1),
  layer_norm_epsilon: numeric(1e-5),
  scale_attn_weights: truth(true),
  scale_attn_by_inverse_layer_idx: truth(false),
  reorder_and_upcast_attn: truth(false),
  tie_word_embeddings: truth(true),
  classifier_dropout: probability(null),
  hidden_dropout: probability(null),
  pad_token_id: numeric(null),
};
const ALIASES = {
  hidden_size: 'n_embd',
  max_position_embeddings: 'n_positions',
  num_attention_heads: 'n_head',
  num_hidden_layers: 'n_layer',
};
export type Gpt2 = Config<typeof FIELDS>;
const HEADS: Head[] = ['causal-lm', 'sequence-classification', 'token-classification'];

/** Reads a GPT-2 config. */
export function readGpt2(request: Request): ModelGraph {
  if (!HEADS.includes(request.head)) throw unsupportedHead(request, HEADS);
  const config = readConfig(request.raw, FIELDS, request.file, ALIASES);
  checkDivides(request.file, ['n_embd', config.n_embd], ['n_head', config.n_head]);
  const text = beginText(request, config.vocab_size, { longest: config.n_positions });
  const hidden = text.g.inModule('transformer', () => backbone(text, config));
  if (text.head === 'causal-lm') {
    return finishCausal(text, hidden, { tied: config.tie_word_embeddings ? text.g.weight('transformer.wte.weight') : null });
  }
  if (text.head === 'sequence-classification') return finishLastToken(text, hidden, config.pad_token_id ?? 0);
  return finishTokens(text, hidden, {
    name: 'classifier',
    dropout: config.classifier_dropout ?? config.hidden_dropout ?? 0.1,
    float32: false,
  });
}

function backbone(text: Text, config: Gpt2): Value {
  const { g, batch, length, eager } = text;
  const ids = view(g, text.ids, [-1, length]);
  const tokens = embeddingModule(g, 'wte', ids, config.vocab_size, config.n_embd);
  const positions = positionIds(g, length);
  const places = embeddingModule(g, 'wpe', positions, config.n_positions, config.n_embd);
  g.holdInLocals([tokens, places]);
  const embedded = add(g, tokens, places);
  // Until 4.47 the written-out attention had its mask in a buffer of each layer.
  const legacy = eager && isBefore(text.release, 4, 48);
  const mask = legacy ? null : causalMask(g, { batch, length, positions, eager });
  let hidden = dropoutModule(g, 'drop', embedded, config.embd_pdrop);
  for (let layer = 0; layer < config.n_layer; layer++) {
    hidden = g.inCheckpoint(`h.${layer}`, () => block(text, config, hidden, { mask, legacy, layer }));
  }
  return view(g, layerNormModule(g, 'ln_f', hidden, config.layer_norm_epsilon), [-1, length, config.n_embd]);
}

interface BlockPlace {
  mask: Value | null;
  legacy: boolean;
  layer: number;
}

function block(text: Text, config: Gpt2, x: Value, place: BlockPlace): Value {
  const { g } = text;
  const normed = layerNormModule(g, 'ln_1', x, config.layer_norm_epsilon);
  const attended = g.inModule('attn', () => attention(text, config, normed, place));
  const hidden = add(g, attended, x);
  const second = layerNormModule(g, 'ln_2', hidden, config.layer_norm_epsilon);
  const fed = g.inModule('mlp', () => feedForward(text, config, second));
  const output = add(g, hidden, fed);
  g.holdInLocals([normed], hidden);
  g.holdInLocals([attended, second, fed]);
  return output;
}

function attention(text: Text, config: Gpt2, x: Value, place: BlockPlace): Value {
  const { g, batch, length } = text;
  const headSize = config.n_embd / config.n_head;
  const scale = (config.scale_attn_weights ? headSize ** -0.5 : 1) / (config.scale_attn_by_inverse_layer_idx ? place.layer + 1 : 1);
  const [query, key, value] = split(g, conv1dModule(g, 'c_attn', x, 3 * config.n_embd), config.n_embd, 2) as [Value, Value, Value];
  const options = { mask: place.mask, causal: true, scale, dropout: config.attn_pdrop, style: 'gpt2' as const };
  let joined: Value;
  if (place.legacy) joined = legacyAttention(g, { batch, length, layer: place.layer }, config, [query, key, value]);
  else {
    const [k, v, q] = [splitHeads(g, key, headSize), splitHeads(g, value, headSize), splitHeads(g, query, headSize)];
    if (!text.eager) joined = joinHeads(g, attendFused(g, q, k, v, { ...options, copies: copiesHeads(text.release) }));
    else if (config.reorder_and_upcast_attn) joined = joinHeads(g, upcastAttention(text, q, k, v, options));
    else joined = joinHeads(g, attendWrittenOut(g, q, k, v, options));
  }
  return dropoutModule(g, 'resid_dropout', conv1dModule(g, 'c_proj', joined, config.n_embd), config.resid_pdrop);
}

/** Scores in float32 through one batched product, autocast or not (`reorder_and_upcast_attn`). */
function upcastAttention(text: Text, q: Value, k: Value, v: Value, options: { mask: Value | null; scale: number; dropout: number }): Value {
  const { g, length } = text;
  const [, heads, , headSize] = q.shape as [Size, Size, Size, Size];
  const batches = times(text.batch, heads);
  const result = { shape: [batches, length, length], dtype: 'float32' as const };
  const empty = g.call('aten.empty.memory_format', [sizes(result.shape)], result, { dtype: 'float32' });
  const flat = [reshape(g, q, [-1, length, headSize]), reshape(g, transpose(g, k, -1, -2), [-1, headSize, length])] as const;
  const [rows, columns] = [toDtype(g, flat[0], 'float32'), toDtype(g, flat[1], 'float32')];
  const product = g.call('aten.baddbmm', [empty, rows, columns], result, { beta: 0, alpha: options.scale });
  const scores = reshape(g, product, [text.batch, heads, length, length]);
  const masked = options.mask ? add(g, scores, options.mask) : scores;
  const weights = dropoutModule(g, 'attn_dropout', castLike(g, softmax(g, masked, -1), v), options.dropout);
  return transpose(g, matmul(g, weights, v), 1, 2);
}

function feedForward(text: Text, config: Gpt2, x: Value): Value {
  const { g } = text;
  const inner = conv1dModule(g, 'c_fc', x, config.n_inner ?? 4 * config.n_embd);
  const active = activationModule(g, 'act', inner, config.activation_function);
  return dropoutModule(g, 'dropout', conv1dModule(g, 'c_proj', active, config.n_embd), config.resid_pdrop);
}
