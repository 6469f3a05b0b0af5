/** A decoder of Llama's design: pre-norm blocks of rotary attention and a gated feed-forward. */
import { attendFused, attendWrittenOut, joinHeads, splitHeads } from '../../blocks/attention.js';
import { causalMask } from '../../blocks/masks.js';
import {
  type Activation,
  activationModule,
  embeddingModule,
  gemmaNormModule,
  linearModule,
  positionIds,
  rmsNormModule,
} from '../../blocks/modules.js';
import { applyRotary, type RotaryTables, rotaryTables } from '../../blocks/rotary.js';
import type { Value } from '../../builder.js';
import type { ModelGraph, Size } from '../../graph.js';
import { add, mul, toDtype } from '../../ops/elementwise.js';
import { embedding } from '../../ops/layers.js';
import { transpose, view } from '../../ops/views.js';
import type { Head } from '../../options.js';
import { addRouterLoss, type Experts, mixtureModule } from './experts.js';
import { finishCausal, finishLastToken, finishTokens } from './heads.js';
import { copiesHeads } from './release.js';
import { beginText, type Request, sequenceLength, type Text, unsupportedHead } from './text.js';

export interface Decoder {
  vocabulary: number;
  features: number;
  inner: number;
  layers: number;
  heads: number;
  keyValueHeads: number;
  headSize: number;
  activation: Activation;
  positions: number;
  eps: number;
  /** The language head shares the embedding's weight. */
  tied: boolean;
  bias: { qkv: boolean; output: boolean; mlp: boolean };
  dropout: number;
  padding: number | null;
  classifierDropout: number;
  norm: 'rms' | 'gemma';
  /** Sliding window: its size, and which layers have it. */
  window: { size: number | null; layers: 'all' | boolean[] };
  /** Embeddings times sqrt(features) (Gemma). */
  embeddingScale?: boolean;
  /** An RMSNorm on each head's queries and keys (Qwen3). */
  headNorm?: boolean;
  /** Attention's scale where it is not headSize ** -0.5. */
  scale?: number;
  softcap?: { attention: number | null; logits: number | null };
  /** Norms behind attention and feed-forward too (Gemma 2). */
  sandwich?: boolean;
  experts?: Experts;
}

const HEADS: Head[] = ['causal-lm', 'sequence-classification', 'token-classification'];

export function buildDecoder(request: Request, decoder: Decoder): ModelGraph {
  if (!HEADS.includes(request.head)) throw unsupportedHead(request, HEADS);
  const text = beginText(request, decoder.vocabulary, { usual: decoder.positions, limits: windowLimits(request, decoder) });
  const routers: Value[] = [];
  const hidden = text.g.inModule('model', () => backbone(text, decoder, routers));
  if (request.head === 'sequence-classification') return finishLastToken(text, hidden, decoder.padding ?? 0);
  if (request.head === 'token-classification') {
    return finishTokens(text, hidden, { name: 'score', dropout: decoder.classifierDropout, float32: 'after-view' });
  }
  const tied = decoder.tied ? text.g.weight('model.embed_tokens.weight') : null;
  const { experts } = decoder;
  const extraLoss = experts ? (loss: Value) => addRouterLoss(text, loss, experts, routers) : undefined;
  return finishCausal(text, hidden, { tied, softcap: decoder.softcap?.logits ?? null, extraLoss });
}

/** The fused attention needs a window's mask only from that length on: the graph holds for one side of it. */
function windowLimits(request: Request, { window, positions }: Decoder): { min?: number; max?: number } {
  if (request.eager || window.size === null || (window.layers !== 'all' && !window.layers.includes(true))) return {};
  return sequenceLength(request, { usual: positions }) >= window.size ? { min: window.size } : { max: window.size - 1 };
}

/** The window where it shows in the mask, else null. */
function activeWindow(text: Text, decoder: Decoder): number | null {
  const { size } = decoder.window;
  return size !== null && (text.eager || sequenceLength(text, { usual: decoder.positions }) >= size) ? size : null;
}

function backbone(text: Text, decoder: Decoder, routers: Value[]): Value {
  const { g, batch, length, eager } = text;
  const embedded = embed(text, decoder);
  const positions = positionIds(g, length);
  const { layers } = decoder.window;
  const window = activeWindow(text, decoder);
  const mask = (size: number | null) => causalMask(g, { batch, length, positions, window: size, eager });
  // Models whose layers differ make both masks; the others the one they need.
  const sliding = layers !== 'all' && layers.includes(true);
  const full = layers === 'all' ? mask(window) : mask(null);
  const near = sliding ? mask(window) : full;
  const tables = rotaryTables(g, 'rotary_emb', positions, decoder.headSize);
  g.holdInLocals([embedded]);
  let hidden = embedded;
  for (let layer = 0; layer < decoder.layers; layer++) {
    const own = layers !== 'all' && layers[layer] ? near : full;
    hidden = g.inCheckpoint(`layers.${layer}`, () => block(text, decoder, hidden, { mask: own, tables, routers }));
  }
  return norm(text, decoder, 'norm', hidden);
}

function embed(text: Text, decoder: Decoder): Value {
  const { g } = text;
  if (!decoder.embeddingScale) return embeddingModule(g, 'embed_tokens', text.ids, decoder.vocabulary, decoder.features, decoder.padding);
  return g.inModule('embed_tokens', () => {
    const tokens = embedding(g, g.parameter('weight', [decoder.vocabulary, decoder.features]), text.ids, decoder.padding ?? -1);
    const scale = g.buffer('embed_scale', [], 'model');
    return mul(g, tokens, toDtype(g, scale, 'model'));
  });
}

function norm({ g }: Text, decoder: Decoder, name: string, x: Value): Value {
  return decoder.norm === 'gemma' ? gemmaNormModule(g, name, x, decoder.eps) : rmsNormModule(g, name, x, decoder.eps);
}

interface Shared {
  mask: Value | null;
  tables: RotaryTables;
  routers: Value[];
}

function block(text: Text, decoder: Decoder, x: Value, shared: Shared): Value {
  const { g } = text;
  g.orderChildren('self_attn', 'mlp', 'input_layernorm', 'post_attention_layernorm');
  const normed = norm(text, decoder, 'input_layernorm', x);
  const attended = g.inModule('self_attn', () => attention(text, decoder, normed, shared));
  const hidden = add(g, x, decoder.sandwich ? norm(text, decoder, 'post_attention_layernorm', attended) : attended);
  const second = norm(text, decoder, decoder.sandwich ? 'pre_feedforward_layernorm' : 'post_attention_layernorm', hidden);
  const fed = feedForward(text, decoder, second, shared.routers);
  return add(g, hidden, decoder.sandwich ? norm(text, decoder, 'post_feedforward_layernorm', fed) : fed);
}

function attention(text: Text, decoder: Decoder, x: Value, { mask, tables }: Shared): Value {
  const { g } = text;
  const { heads, keyValueHeads, headSize, bias } = decoder;
  g.orderChildren('q_proj', 'k_proj', 'v_proj', 'o_proj', 'q_norm', 'k_norm');
  const project = (name: string, count: number) => {
    const projected = linearModule(g, name, x, count * headSize, bias.qkv);
    if (!decoder.headNorm || name === 'v_proj') return splitHeads(g, projected, headSize);
    const [batch, length] = projected.shape as [Size, Size];
    return transpose(
      g,
      rmsNormModule(g, name.replace('proj', 'norm'), view(g, projected, [batch, length, -1, headSize]), decoder.eps),
      1,
      2,
    );
  };
  const [q, k, v] = [project('q_proj', heads), project('k_proj', keyValueHeads), project('v_proj', keyValueHeads)];
  const [query, key] = applyRotary(g, q, k, tables);
  const options = {
    groups: heads / keyValueHeads,
    mask,
    causal: true,
    scale: decoder.scale ?? headSize ** -0.5,
    dropout: decoder.dropout,
  };
  const mixed = text.eager
    ? attendWrittenOut(g, query, key, v, { ...options, style: 'llama', softcap: decoder.softcap?.attention ?? null })
    : attendFused(g, query, key, v, { ...options, copies: copiesHeads(text.release) });
  return linearModule(g, 'o_proj', joinHeads(g, mixed), decoder.features, bias.output);
}

function feedForward(text: Text, decoder: Decoder, x: Value, routers: Value[]): Value {
  const { g } = text;
  if (decoder.experts) return mixtureModule(text, 'mlp', x, { ...decoder, experts: decoder.experts }, routers);
  const { inner, features, bias, activation } = decoder;
  return g.inModule('mlp', () => {
    const gate = activationModule(g, 'act_fn', linearModule(g, 'gate_proj', x, inner, bias.mlp), activation);
    return linearModule(g, 'down_proj', mul(g, gate, linearModule(g, 'up_proj', x, inner, bias.mlp)), features, bias.mlp);
  });
}
