/** GPT-Neo: GPT-2's blocks, every other layer with local attention, scores in float32 and unscaled. */
import { causalMask, LOWEST } from '../../blocks/masks.js';
import {
  ACTIVATIONS,
  activationModule,
  castLike,
  dropoutModule,
  embeddingModule,
  layerNormModule,
  linearModule,
  positionIds,
} from '../../blocks/modules.js';
import type { Value } from '../../builder.js';
import type { ModelGraph } from '../../graph.js';
import { add, softmax, toDtype } from '../../ops/elementwise.js';
import { matmul } from '../../ops/layers.js';
import { contiguous, permute, slice, transpose, view } from '../../ops/views.js';
import type { Head } from '../../options.js';
import { type Config, checkDivides, configError, numeric, probability, readConfig, structure, truth, whole, word } from './config.js';
import { finishCausal, finishLastToken, finishTokens } from './heads.js';
import { beginText, type Request, type Text, unsupportedHead } from './text.js';

/** [[["global", "local"], 12]]: kinds of layers, repeated. */
type AttentionTypes = [kinds: string[], times: number][];
const isTypes = (value: unknown): boolean =>
  Array.isArray(value) && value.every((item) => Array.isArray(item) && Array.isArray(item[0]) && Number.isSafeInteger(item[1]));

const FIELDS = {
  vocab_size: whole(50257),
  max_position_embeddings: whole(2048),
  hidden_size: whole(2048),
  num_layers: whole(24),
  attention_types: structure<AttentionTypes>([[['global', 'local'], 12]], 'a list such as [[["global", "local"], 12]]', isTypes),
  num_heads: whole(16),
  intermediate_size: whole(null),
  activation_function: word(ACTIVATIONS, 'gelu_new'),
  resid_dropout: probability(0),
  embed_dropout: probability(0),
  attention_dropout: probability(0),
  classifier_dropout: probability(0.1),
  layer_norm_epsilon: numeric(1e-5),
  tie_word_embeddings: truth(true),
  pad_token_id: numeric(null),
};
type GptNeo = Config<typeof FIELDS>;
const HEADS: Head[] = ['causal-lm', 'sequence-classification', 'token-classification'];

/** Reads a GPT-Neo config. */
export function readGptNeo(request: Request): ModelGraph {
  if (!HEADS.includes(request.head)) throw unsupportedHead(request, HEADS);
  const aliases = { num_attention_heads: 'num_heads', num_hidden_layers: 'num_layers' };
  const config = readConfig(request.raw, FIELDS, request.file, aliases);
  checkDivides(request.file, ['hidden_size', config.hidden_size], ['num_heads', config.num_heads]);
  const layers = config.attention_types.reduce((sum, [kinds, times]) => sum + kinds.length * times, 0);
  if (layers !== config.num_layers)
    throw configError(request.file, 'attention_types', `describes ${layers} layers, num_layers is ${config.num_layers}`);
  const text = beginText(request, config.vocab_size, { longest: config.max_position_embeddings });
  const hidden = text.g.inModule('transformer', () => backbone(text, config));
  if (request.head === 'sequence-classification') return finishLastToken(text, hidden, config.pad_token_id ?? 0);
  if (request.head === 'token-classification')
    return finishTokens(text, hidden, { name: 'classifier', dropout: config.classifier_dropout, float32: false });
  return finishCausal(text, hidden, { tied: config.tie_word_embeddings ? text.g.weight('transformer.wte.weight') : null });
}

function backbone(text: Text, config: GptNeo): Value {
  const { g, batch, length } = text;
  const tokens = embeddingModule(g, 'wte', text.ids, config.vocab_size, config.hidden_size);
  const positions = positionIds(g, length);
  const mask = causalMask(g, { batch, length, positions, eager: true }) as Value;
  const places = embeddingModule(g, 'wpe', positions, config.max_position_embeddings, config.hidden_size);
  g.holdInLocals([tokens, places]);
  const embedded = add(g, tokens, places);
  let hidden = dropoutModule(g, 'drop', embedded, config.embed_dropout);
  for (let layer = 0; layer < config.num_layers; layer++) {
    const [output, weights] = g.inCheckpoint(`h.${layer}`, () => block(text, config, hidden, mask));
    // `outputs` has the weights of one layer until the next one's are there.
    if (layer + 1 < config.num_layers) g.holdUntilReturned([weights], `h.${layer + 1}`);
    else g.holdInLocals([weights]);
    hidden = output;
  }
  return view(g, layerNormModule(g, 'ln_f', hidden, config.layer_norm_epsilon), [-1, length, config.hidden_size]);
}

function block(text: Text, config: GptNeo, x: Value, mask: Value): [output: Value, weights: Value] {
  const { g } = text;
  const normed = layerNormModule(g, 'ln_1', x, config.layer_norm_epsilon);
  const [attended, weights] = g.inModule('attn.attention', () => attention(text, config, normed, mask));
  const hidden = add(g, attended, x);
  const second = layerNormModule(g, 'ln_2', hidden, config.layer_norm_epsilon);
  const fed = g.inModule('mlp', () => {
    const inner = linearModule(g, 'c_fc', second, config.intermediate_size ?? 4 * config.hidden_size);
    const active = activationModule(g, 'act', inner, config.activation_function);
    return dropoutModule(g, 'dropout', linearModule(g, 'c_proj', active, config.hidden_size), config.resid_dropout);
  });
  g.holdInLocals([normed], hidden);
  g.holdInLocals([attended, second, fed]);
  return [add(g, hidden, fed), weights];
}

function attention(text: Text, config: GptNeo, x: Value, mask: Value): [output: Value, weights: Value] {
  const { g, batch, length } = text;
  const { hidden_size: features, num_heads: heads, max_position_embeddings: positions } = config;
  g.orderChildren('k_proj', 'v_proj', 'q_proj', 'out_proj');
  const projected = ['q_proj', 'k_proj', 'v_proj'].map((name) => linearModule(g, name, x, features, false));
  const split = (value: Value): Value => permute(g, view(g, value, [batch, length, heads, features / heads]), [0, 2, 1, 3]);
  const [q, k, v] = projected.map(split) as [Value, Value, Value];
  g.holdInLocals([q, k, v]);
  const [query, key] = [toDtype(g, q, 'float32'), toDtype(g, k, 'float32')];
  const scores = matmul(g, query, transpose(g, key, -1, -2));
  // The local layers' window is in the buffer's values alone.
  const triangle = g.buffer('bias', [1, 1, positions, positions], 'bool');
  const seen = slice(g, slice(g, triangle, 2, 0, length), 3, 0, length);
  const lowest = g.call('aten.full', [[], LOWEST], { shape: [], dtype: 'float32' }, { dtype: 'float32' });
  const masked = add(g, g.call('aten.where.self', [seen, scores, lowest], scores), mask);
  const weights = dropoutModule(g, 'attn_dropout', castLike(g, softmax(g, masked, -1), v), config.attention_dropout);
  const joined = view(g, contiguous(g, permute(g, matmul(g, weights, v), [0, 2, 1, 3])), [batch, length, features]);
  return [dropoutModule(g, 'resid_dropout', linearModule(g, 'out_proj', joined, features), config.resid_dropout), weights];
}
