/** BART. */
import { attendFused, attendWrittenOut, joinHeads, splitHeads } from '../../blocks/attention.js';
import { tokenLoss } from '../../blocks/losses.js';
import { causalMask } from '../../blocks/masks.js';
import { ACTIVATIONS, activationModule, layerNormModule, linearModule } from '../../blocks/modules.js';
import { shiftRight } from '../../blocks/seq2seq.js';
import { type GraphBuilder, size, type Value } from '../../builder.js';
import type { ModelGraph } from '../../graph.js';
import { add, dropout, mul } from '../../ops/elementwise.js';
import { embedding, linear } from '../../ops/layers.js';
import { expand, select, unsqueeze } from '../../ops/views.js';
import type { Head } from '../../options.js';
import { type Config, checkDivides, numeric, probability, readConfig, truth, whole, word } from './config.js';
import { isBefore } from './release.js';
import { beginText, type Request, type Text, unsupportedHead } from './text.js';

const FIELDS = {
  vocab_size: whole(50265),
  max_position_embeddings: whole(1024),
  encoder_layers: whole(12),
  encoder_ffn_dim: whole(4096),
  encoder_attention_heads: whole(16),
  decoder_layers: whole(12),
  decoder_ffn_dim: whole(4096),
  decoder_attention_heads: whole(16),
  activation_function: word(ACTIVATIONS, 'gelu'),
  d_model: whole(1024),
  dropout: probability(0.1),
  attention_dropout: probability(0),
  activation_dropout: probability(0),
  scale_embedding: truth(false),
  pad_token_id: numeric(1),
  decoder_start_token_id: numeric(2),
  tie_word_embeddings: truth(true),
};
type Bart = Config<typeof FIELDS>;
const ALIASES = { num_attention_heads: 'encoder_attention_heads', hidden_size: 'd_model', num_hidden_layers: 'encoder_layers' };
const HEADS: Head[] = ['seq2seq-lm'];
/** Positions begin at 2. */
const OFFSET = 2;

/** One side of the model. */
interface Side {
  layers: number;
  heads: number;
  inner: number;
  /** What the decoder attends to beside itself. */
  encoded: Value | null;
  mask: Value | null;
}

/** Reads a BART config; source and target have the same length. */
export function readBart(request: Request): ModelGraph {
  if (!HEADS.includes(request.head)) throw unsupportedHead(request, HEADS);
  const config = readConfig(request.raw, FIELDS, request.file, ALIASES);
  for (const heads of ['encoder_attention_heads', 'decoder_attention_heads'] as const)
    checkDivides(request.file, ['d_model', config.d_model], [heads, config[heads]]);
  const text = beginText(request, config.vocab_size, { longest: config.max_position_embeddings });
  const { g } = text;
  const inputs = shiftRight(g, text.ids, config.decoder_start_token_id, config.pad_token_id);
  const shared = g.inModule('model.shared', () => g.parameter('weight', [config.vocab_size, config.d_model]));
  const encoded = g.inModule('model.encoder', () => encoder(text, config, shared));
  const decoded = g.inModule('model.decoder', () => decoder(text, config, shared, inputs, encoded));
  const weight = (): Value =>
    config.tie_word_embeddings ? g.tie('weight', shared) : g.parameter('weight', [config.vocab_size, config.d_model]);
  const scores = g.inModule('lm_head', () => linear(g, decoded, weight()));
  const logits = add(g, scores, g.buffer('final_logits_bias', [1, config.vocab_size], 'model'));
  g.holdInLocals([inputs, encoded, decoded]);
  return g.finish(tokenLoss(g, logits, text.ids, false), [logits, encoded]);
}

function embed({ g, release }: Text, config: Bart, shared: Value, ids: Value): Value {
  // From 5.0 on the config unties these too; before, both sides were given the shared module.
  const tied = config.tie_word_embeddings || isBefore(release, 5, 0);
  return g.inModule('embed_tokens', () => {
    const weight = tied ? g.tie('weight', shared) : g.parameter('weight', [config.vocab_size, config.d_model]);
    const tokens = embedding(g, weight, ids, config.pad_token_id);
    return mul(g, tokens, config.scale_embedding ? Math.sqrt(config.d_model) : 1);
  });
}

function positionTable(g: GraphBuilder, config: Bart, positions: Value): Value {
  return embedding(g, g.parameter('weight', [config.max_position_embeddings + OFFSET, config.d_model]), add(g, positions, OFFSET));
}

function encoder(text: Text, config: Bart, shared: Value): Value {
  const { g, batch, length } = text;
  g.orderChildren('embed_positions', 'layers', 'layernorm_embedding');
  const tokens = embed(text, config, shared, text.ids);
  select(g, tokens, 2, -1);
  const places = g.inModule('embed_positions', () => {
    const range = g.call('aten.arange.start', [0, size(length)], { shape: [length], dtype: 'int64' }, { dtype: 'int64' });
    return positionTable(g, config, expand(g, range, [batch, -1]));
  });
  const side = {
    layers: config.encoder_layers,
    heads: config.encoder_attention_heads,
    inner: config.encoder_ffn_dim,
    encoded: null,
    mask: null,
  };
  g.holdInLocals([tokens, places]);
  return stack(text, config, add(g, tokens, places), side);
}

function decoder(text: Text, config: Bart, shared: Value, inputs: Value, encoded: Value): Value {
  const { g, batch, length, eager } = text;
  g.orderChildren('embed_positions', 'layers', 'layernorm_embedding');
  const tokens = embed(text, config, shared, inputs);
  const range = add(g, g.call('aten.arange', [size(length)], { shape: [length], dtype: 'int64' }), 0);
  const mask = causalMask(g, { batch, length, positions: null, eager });
  const places = g.inModule('embed_positions', () => positionTable(g, config, unsqueeze(g, range, 0)));
  g.holdInLocals([tokens, range, places]);
  const side = { layers: config.decoder_layers, heads: config.decoder_attention_heads, inner: config.decoder_ffn_dim, encoded, mask };
  return stack(text, config, add(g, tokens, places), side);
}

function stack(text: Text, config: Bart, embedded: Value, side: Side): Value {
  const { g } = text;
  let hidden = dropout(g, layerNormModule(g, 'layernorm_embedding', embedded), config.dropout);
  for (let layer = 0; layer < side.layers; layer++) hidden = g.inCheckpoint(`layers.${layer}`, () => block(text, config, hidden, side));
  return hidden;
}

function block(text: Text, config: Bart, x: Value, side: Side): Value {
  const { g } = text;
  const { encoded } = side;
  const sum = (name: string, residual: Value, value: Value): Value =>
    layerNormModule(g, name, add(g, residual, dropout(g, value, config.dropout)));
  const own = g.inModule('self_attn', () => attention(text, config, x, x, side));
  let hidden = sum('self_attn_layer_norm', x, own);
  if (encoded) {
    const inputs = hidden;
    const across = g.inModule('encoder_attn', () => attention(text, config, inputs, encoded, { ...side, encoded: null, mask: null }));
    hidden = sum('encoder_attn_layer_norm', hidden, across);
  }
  const active = activationModule(g, 'activation_fn', linearModule(g, 'fc1', hidden, side.inner), config.activation_function);
  const fed = linearModule(g, 'fc2', dropout(g, active, config.activation_dropout), config.d_model);
  g.holdInLocals([hidden]);
  return sum('final_layer_norm', hidden, fed);
}

/** `side.encoded` is set for the decoder's attention to itself, which is the causal one. */
function attention(text: Text, config: Bart, x: Value, source: Value, side: Side): Value {
  const { g } = text;
  g.orderChildren('k_proj', 'v_proj', 'q_proj', 'out_proj');
  const headSize = config.d_model / side.heads;
  const q = splitHeads(g, linearModule(g, 'q_proj', x, config.d_model), headSize);
  const [keys, values] = [linearModule(g, 'k_proj', source, config.d_model), linearModule(g, 'v_proj', source, config.d_model)];
  const [k, v] = [splitHeads(g, keys, headSize), splitHeads(g, values, headSize)];
  const options = { mask: side.mask, causal: side.encoded !== null, scale: headSize ** -0.5, dropout: config.attention_dropout };
  const mixed = text.eager ? attendWrittenOut(g, q, k, v, { ...options, style: 'bert' }) : attendFused(g, q, k, v, options);
  return linearModule(g, 'out_proj', joinHeads(g, mixed), config.d_model);
}
