/** OPT. */
import { attendFused, attendWrittenOut, joinHeads } from '../../blocks/attention.js';
import { causalMask } from '../../blocks/masks.js';
import { ACTIVATIONS, activationModule, embeddingModule, layerNormModule, linearModule } from '../../blocks/modules.js';
import type { Value } from '../../builder.js';
import type { ModelGraph, Size } from '../../graph.js';
import { add, dropout, mul, sub, toDtype } from '../../ops/elementwise.js';
import { embedding, filled } from '../../ops/layers.js';
import { reshape, transpose, view } from '../../ops/views.js';
import type { Head } from '../../options.js';
import { type Config, checkDivides, numeric, probability, readConfig, truth, whole, word } from './config.js';
import { finishCausal, finishLastToken } from './heads.js';
import { beginText, type Request, type Text, unsupportedHead } from './text.js';

const FIELDS = {
  vocab_size: whole(50272),
  hidden_size: whole(768),
  num_hidden_layers: whole(12),
  ffn_dim: whole(3072),
  max_position_embeddings: whole(2048),
  do_layer_norm_before: truth(true),
  _remove_final_layer_norm: truth(false),
  word_embed_proj_dim: whole(null),
  dropout: probability(0.1),
  attention_dropout: probability(0),
  num_attention_heads: whole(12),
  activation_function: word(ACTIVATIONS, 'relu'),
  pad_token_id: numeric(1),
  enable_bias: truth(true),
  layer_norm_elementwise_affine: truth(true),
  tie_word_embeddings: truth(true),
};
type Opt = Config<typeof FIELDS>;
const HEADS: Head[] = ['causal-lm', 'sequence-classification'];
/** Positions begin at 2. */
const OFFSET = 2;

/** Reads an OPT config. */
export function readOpt(request: Request): ModelGraph {
  if (!HEADS.includes(request.head)) throw unsupportedHead(request, HEADS);
  const config = readConfig(request.raw, FIELDS, request.file);
  checkDivides(request.file, ['hidden_size', config.hidden_size], ['num_attention_heads', config.num_attention_heads]);
  const text = beginText(request, config.vocab_size, { longest: config.max_position_embeddings });
  const hidden = text.g.inModule('model.decoder', () => backbone(text, config));
  if (request.head === 'sequence-classification') return finishLastToken(text, hidden, config.pad_token_id ?? 1);
  return finishCausal(text, hidden, { tied: config.tie_word_embeddings ? text.g.weight('model.decoder.embed_tokens.weight') : null });
}

function backbone(text: Text, config: Opt): Value {
  const { g, batch, length, eager } = text;
  g.orderChildren('embed_tokens', 'embed_positions', 'project_out', 'project_in', 'final_layer_norm', 'layers');
  const width = config.word_embed_proj_dim ?? config.hidden_size;
  const ids = view(g, text.ids, [-1, length]);
  const tokens = embeddingModule(g, 'embed_tokens', ids, config.vocab_size, width, config.pad_token_id);
  const seen = filled(g, 'aten.ones', [batch, length], null);
  const counted = g.call('aten.cumsum', [seen, 1], seen);
  const positions = toDtype(g, sub(g, mul(g, counted, seen), 1), 'int64');
  const mask = causalMask(g, { batch, length, positions: null, eager });
  const placed = g.inModule('embed_positions', () =>
    embedding(g, g.parameter('weight', [config.max_position_embeddings + OFFSET, config.hidden_size]), add(g, positions, OFFSET)),
  );
  const embedded = width === config.hidden_size ? tokens : linearModule(g, 'project_in', tokens, config.hidden_size, false);
  g.holdInLocals([tokens], embedded);
  g.holdInLocals([embedded, seen, positions, placed]);
  let hidden = add(g, embedded, placed);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    hidden = g.inCheckpoint(`layers.${layer}`, () => block(text, config, hidden, mask));
  }
  if (config.do_layer_norm_before && !config._remove_final_layer_norm) hidden = norm(text, config, 'final_layer_norm', hidden);
  return width === config.hidden_size ? hidden : linearModule(g, 'project_out', hidden, width, false);
}

function norm({ g }: Text, config: Opt, name: string, x: Value): Value {
  return layerNormModule(g, name, x, 1e-5, config.layer_norm_elementwise_affine);
}

function block(text: Text, config: Opt, x: Value, mask: Value | null): Value {
  const { g } = text;
  const before = config.do_layer_norm_before;
  const normed = before ? norm(text, config, 'self_attn_layer_norm', x) : x;
  const mixed = g.inModule('self_attn', () => attention(text, config, normed, mask));
  g.orderChildren('self_attn', 'self_attn_layer_norm', 'fc1', 'fc2', 'final_layer_norm');
  const summed = add(g, x, dropout(g, mixed, config.dropout));
  const hidden = before ? summed : norm(text, config, 'self_attn_layer_norm', summed);
  const rows = reshape(g, hidden, [-1, config.hidden_size]);
  const inputs = before ? norm(text, config, 'final_layer_norm', rows) : rows;
  const inner = activationModule(
    g,
    'activation_fn',
    linearModule(g, 'fc1', inputs, config.ffn_dim, config.enable_bias),
    config.activation_function,
  );
  const fed = dropout(g, linearModule(g, 'fc2', inner, config.hidden_size, config.enable_bias), config.dropout);
  g.holdInLocals([rows]);
  const output = view(g, add(g, rows, fed), hidden.shape);
  return before ? output : norm(text, config, 'final_layer_norm', output);
}

function attention(text: Text, config: Opt, x: Value, mask: Value | null): Value {
  const { g } = text;
  g.orderChildren('k_proj', 'v_proj', 'q_proj', 'out_proj');
  const heads = config.num_attention_heads;
  const headSize = config.hidden_size / heads;
  const project = (name: string): Value => linearModule(g, name, x, config.hidden_size, config.enable_bias);
  const split = (value: Value): Value => transpose(g, view(g, value, [value.shape[0] as Size, -1, heads, headSize]), 1, 2);
  const query = split(mul(g, project('q_proj'), headSize ** -0.5));
  const [keys, values] = [project('k_proj'), project('v_proj')];
  const [key, value] = [split(keys), split(values)];
  // The queries are scaled already.
  const options = { mask, causal: true, scale: 1, dropout: config.attention_dropout };
  const mixed = text.eager
    ? attendWrittenOut(g, query, key, value, { ...options, style: 'opt' })
    : attendFused(g, query, key, value, options);
  return linearModule(g, 'out_proj', joinHeads(g, mixed), config.hidden_size, config.enable_bias);
}
