/** T5: relative position biases, unscaled attention, RMS norms. */
import { attendFused, attendWrittenOut, joinHeads, splitHeads } from '../../blocks/attention.js';
import { tokenLoss } from '../../blocks/losses.js';
import { causalMask, LOWEST } from '../../blocks/masks.js';
import {
  ACTIVATIONS,
  type Activation,
  activationModule,
  castLike,
  dropoutModule,
  linearModule,
  t5NormModule,
} from '../../blocks/modules.js';
import { relativeBias } from '../../blocks/relative-bias.js';
import { shiftRight } from '../../blocks/seq2seq.js';
import { size, sizes, type Value } from '../../builder.js';
import type { ModelGraph, Size } from '../../graph.js';
import { add, compare, mul } from '../../ops/elementwise.js';
import { embedding, linear } from '../../ops/layers.js';
import { contiguous, unsqueeze, view } from '../../ops/views.js';
import type { Head } from '../../options.js';
import { type Config, configError, numeric, probability, readConfig, truth, whole, word } from './config.js';
import { isBefore } from './release.js';
import { beginText, type Request, type Text, unsupportedHead } from './text.js';

const FEED_FORWARDS = [...ACTIVATIONS, ...ACTIVATIONS.map((name) => `gated-${name}` as const)];
const FIELDS = {
  vocab_size: whole(32128),
  d_model: whole(512),
  d_kv: whole(64),
  d_ff: whole(2048),
  num_layers: whole(6),
  num_decoder_layers: whole(null),
  num_heads: whole(8),
  relative_attention_num_buckets: whole(32),
  relative_attention_max_distance: whole(128),
  dropout_rate: probability(0.1),
  layer_norm_epsilon: numeric(1e-6),
  feed_forward_proj: word(FEED_FORWARDS, 'relu'),
  tie_word_embeddings: truth(true),
  pad_token_id: numeric(0),
  decoder_start_token_id: numeric(0),
};
type T5 = Config<typeof FIELDS>;
const ALIASES = { hidden_size: 'd_model', num_attention_heads: 'num_heads', num_hidden_layers: 'num_layers', head_dim: 'd_kv' };
const HEADS: Head[] = ['seq2seq-lm'];

/** One side of the model, and the biases that its first block makes for all. */
interface Side {
  layers: number;
  encoded: Value | null;
  mask: Value | null;
  bias: { own: Value | null; across: Value | null };
}

/** Reads a T5 config; source and target have the same length. */
export function readT5(request: Request): ModelGraph {
  if (!HEADS.includes(request.head)) throw unsupportedHead(request, HEADS);
  const config = readConfig(request.raw, FIELDS, request.file, ALIASES);
  if (config.relative_attention_num_buckets % 4 !== 0)
    throw configError(request.file, 'relative_attention_num_buckets', 'expected a multiple of 4');
  const text = beginText(request, config.vocab_size, { usual: 512 });
  const { g } = text;
  const shared = g.inModule('shared', () => g.parameter('weight', [config.vocab_size, config.d_model]));
  const side = (layers: number, encoded: Value | null): Side => ({ layers, encoded, mask: null, bias: { own: null, across: null } });
  const encoded = g.inModule('encoder', () => stack(text, config, shared, text.ids, side(config.num_layers, null)));
  const inputs = shiftRight(g, text.ids, config.decoder_start_token_id, config.pad_token_id);
  const layers = config.num_decoder_layers ?? config.num_layers;
  const decoded = g.inModule('decoder', () => stack(text, config, shared, inputs, side(layers, encoded)));
  // "tie_word_embeddings: false" marks version 1.1: no scaling. Releases from 5 on tie the weights all the same.
  const scaled = config.tie_word_embeddings ? mul(g, decoded, config.d_model ** -0.5) : decoded;
  const tied = config.tie_word_embeddings || !isBefore(request.release, 5, 0);
  const logits = g.inModule('lm_head', () =>
    linear(g, scaled, tied ? g.tie('weight', shared) : g.parameter('weight', [config.vocab_size, config.d_model])),
  );
  g.holdInLocals([inputs, encoded, decoded, scaled]);
  return g.finish(tokenLoss(g, logits, text.ids, false), [logits, encoded]);
}

function stack(text: Text, config: T5, shared: Value, ids: Value, side: Side): Value {
  const { g, batch, length, eager } = text;
  const tokens = g.inModule('embed_tokens', () => embedding(g, g.tie('weight', shared), ids));
  if (side.encoded) side.mask = causalMask(g, { batch, length, positions: null, eager });
  g.holdInLocals([tokens]);
  let hidden = dropoutModule(g, 'dropout', tokens, config.dropout_rate);
  for (let layer = 0; layer < side.layers; layer++) hidden = g.inCheckpoint(`block.${layer}`, () => block(text, config, hidden, side));
  return dropoutModule(g, 'dropout', t5NormModule(g, 'final_layer_norm', hidden, config.layer_norm_epsilon), config.dropout_rate);
}

function block(text: Text, config: T5, x: Value, side: Side): Value {
  const { g } = text;
  const last = side.encoded ? 2 : 1;
  const part = (index: number, input: Value, inner: (normed: Value) => Value): Value =>
    g.inModule(`layer.${index}`, () => {
      g.orderChildren('SelfAttention', 'EncDecAttention', 'DenseReluDense', 'layer_norm');
      const normed = t5NormModule(g, 'layer_norm', input, config.layer_norm_epsilon);
      const made = inner(normed);
      g.holdInLocals(index < last ? [normed, made] : [made]);
      return add(g, input, dropoutModule(g, 'dropout', made, config.dropout_rate));
    });
  let hidden = part(0, x, (normed) => g.inModule('SelfAttention', () => attention(text, config, normed, null, side)));
  const { encoded } = side;
  if (encoded) hidden = part(1, hidden, (normed) => g.inModule('EncDecAttention', () => attention(text, config, normed, encoded, side)));
  return part(last, hidden, (normed) => g.inModule('DenseReluDense', () => feedForward(text, config, normed)));
}

function feedForward({ g }: Text, config: T5, x: Value): Value {
  const gated = config.feed_forward_proj.startsWith('gated-');
  const named = config.feed_forward_proj.replace('gated-', '') as Activation;
  const activation = gated && named === 'gelu' ? 'gelu_new' : named;
  const active = activationModule(g, 'act', linearModule(g, gated ? 'wi_0' : 'wi', x, config.d_ff, false), activation);
  const inner = gated ? mul(g, active, linearModule(g, 'wi_1', x, config.d_ff, false)) : active;
  const dropped = dropoutModule(g, 'dropout', inner, config.dropout_rate);
  // Autocast's low precision goes back to that of the weight first.
  const weight = g.inModule('wo', () => g.parameter('weight', [config.d_model, config.d_ff]));
  return g.inModule('wo', () => linear(g, castLike(g, dropped, weight), weight));
}

/** Self-attention, or attention to `source` where there is one. */
function attention(text: Text, config: T5, x: Value, source: Value | null, side: Side): Value {
  const { g, eager } = text;
  g.orderChildren('q', 'k', 'v', 'o', 'relative_attention_bias');
  const inner = config.num_heads * config.d_kv;
  const project = (name: string, input: Value): Value => splitHeads(g, linearModule(g, name, input, inner, false), config.d_kv);
  const [q, k, v] = [project('q', x), project('k', source ?? x), project('v', source ?? x)];
  const causal = side.encoded !== null && source === null;
  const bias = source ? acrossBias(text, config, q, side) : ownBias(text, config, side);
  const mask = source ? null : side.mask;
  const options = { scale: 1, dropout: config.dropout_rate, causal: false };
  const mixed = eager
    ? attendWrittenOut(g, q, k, v, { ...options, style: 'bert', bias, mask })
    : attendFused(g, q, k, v, { ...options, mask: source ? bias : biasAsMask(text, bias, causal) });
  return linearModule(g, 'o', joinHeads(g, mixed), config.d_model, false);
}

function ownBias(text: Text, config: T5, side: Side): Value {
  side.bias.own ??= relativeBias(text.g, {
    length: text.length,
    heads: config.num_heads,
    buckets: config.relative_attention_num_buckets,
    distance: config.relative_attention_max_distance,
    bidirectional: side.encoded === null,
  });
  return side.bias.own;
}

/** Attention to the encoder has a bias of zeros, made once, in the queries' dtype. */
function acrossBias({ g, length }: Text, config: T5, q: Value, side: Side): Value {
  const shape: Size[] = [1, config.num_heads, length, length];
  side.bias.across ??= g.recomputedLeaf(g.call('aten.new_zeros', [q, sizes(shape)], { shape, dtype: q.dtype }));
  return side.bias.across;
}

/** The bias as the fused attention's mask, with causality in it. */
function biasAsMask({ g, length }: Text, bias: Value, causal: boolean): Value {
  if (!causal) return contiguous(g, bias);
  const range = (dim: number): Value => unsqueeze(g, g.call('aten.arange', [size(length)], { shape: [length], dtype: 'int64' }), dim);
  const [rows, columns] = [range(1), range(0)];
  const seen = view(g, compare(g, 'aten.ge.Tensor', rows, columns), [1, 1, length, length]);
  return contiguous(g, g.call('aten.where.ScalarOther', [seen, bias, LOWEST], bias));
}
