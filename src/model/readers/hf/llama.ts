/** Llama and the decoders built like it: Mistral, Mixtral, Qwen2, Qwen3, Gemma, Gemma 2. */
import { ACTIVATIONS } from '../../blocks/modules.js';
import type { ModelGraph } from '../../graph.js';
import { type ConfigField, configError, numeric, probability, readConfig, structure, truth, whole, word } from './config.js';
import { buildDecoder, type Decoder } from './decoder.js';
import type { Request } from './text.js';

/** Fields that all of them have, with Llama's defaults. */
const COMMON = {
  vocab_size: whole(32000),
  hidden_size: whole(4096),
  intermediate_size: whole(11008),
  num_hidden_layers: whole(32),
  num_attention_heads: whole(32),
  num_key_value_heads: whole(null),
  hidden_act: word(ACTIVATIONS, 'silu'),
  max_position_embeddings: whole(2048),
  rms_norm_eps: numeric(1e-6),
  tie_word_embeddings: truth(false),
  attention_bias: truth(false),
  attention_dropout: probability(0),
  mlp_bias: truth(false),
  head_dim: whole(null),
  pad_token_id: numeric(null),
  classifier_dropout: probability(null),
};
type Fields = typeof COMMON;

const layerTypes = structure<string[] | null>(
  null,
  'a list of "full_attention" and "sliding_attention"',
  (value) => Array.isArray(value) && value.every((type) => type === 'full_attention' || type === 'sliding_attention'),
);
const WINDOWS = { sliding_window: whole(null), layer_types: layerTypes };

/** Reads a Llama config. */
export function readLlama(request: Request): ModelGraph {
  return buildDecoder(request, decoder(request, COMMON));
}

export function readMistral(request: Request): ModelGraph {
  const fields = {
    ...COMMON,
    intermediate_size: whole(14336),
    num_key_value_heads: kvHeads(request, 8),
    max_position_embeddings: whole(131072),
  };
  // Absent is 4096, null is no window.
  const given = readConfig(request.raw, { sliding_window: whole(null) }, request.file).sliding_window;
  const window = request.raw.sliding_window === undefined ? 4096 : given;
  return buildDecoder(request, { ...decoder(request, fields), window: { size: window, layers: 'all' } });
}

export function readMixtral(request: Request): ModelGraph {
  const fields = {
    ...COMMON,
    intermediate_size: whole(14336),
    num_key_value_heads: kvHeads(request, 8),
    max_position_embeddings: whole(131072),
    rms_norm_eps: numeric(1e-5),
  };
  const more = {
    sliding_window: whole(null),
    num_local_experts: whole(8),
    num_experts_per_tok: whole(2),
    output_router_logits: truth(false),
    router_aux_loss_coef: numeric(0.001),
    router_jitter_noise: numeric(0),
  };
  const config = readConfig(request.raw, more, request.file, { num_experts: 'num_local_experts' });
  return buildDecoder(request, {
    ...decoder(request, fields),
    window: { size: config.sliding_window, layers: 'all' },
    experts: {
      count: config.num_local_experts,
      perToken: config.num_experts_per_tok,
      jitter: config.router_jitter_noise,
      lossFactor: config.output_router_logits ? config.router_aux_loss_coef : null,
    },
  });
}

export function readQwen2(request: Request): ModelGraph {
  const base = decoder(request, qwenFields(request));
  return buildDecoder(request, { ...base, bias: { qkv: true, output: false, mlp: false }, window: qwenWindow(request, base.layers) });
}

export function readQwen3(request: Request): ModelGraph {
  const base = decoder(request, { ...qwenFields(request), head_dim: whole(128) });
  return buildDecoder(request, { ...base, bias: { ...base.bias, mlp: false }, headNorm: true, window: qwenWindow(request, base.layers) });
}

export function readGemma(request: Request): ModelGraph {
  const fields = {
    ...gemmaFields,
    hidden_size: whole(3072),
    intermediate_size: whole(24576),
    num_hidden_layers: whole(28),
    num_attention_heads: whole(16),
    num_key_value_heads: kvHeads(request, 16),
  };
  const base = decoder(request, fields);
  // A legacy "gelu" in published configs stands for the tanh form.
  return buildDecoder(request, {
    ...base,
    norm: 'gemma',
    embeddingScale: true,
    activation: base.activation === 'gelu' ? 'gelu_pytorch_tanh' : base.activation,
  });
}

export function readGemma2(request: Request): ModelGraph {
  const fields = {
    ...gemmaFields,
    hidden_size: whole(2304),
    intermediate_size: whole(9216),
    num_hidden_layers: whole(26),
    num_attention_heads: whole(8),
    num_key_value_heads: kvHeads(request, 4),
  };
  const more = {
    ...WINDOWS,
    hidden_activation: word(ACTIVATIONS, 'gelu_pytorch_tanh'),
    query_pre_attn_scalar: numeric(256),
    final_logit_softcapping: numeric(null),
    attn_logit_softcapping: numeric(null),
  };
  const base = decoder(request, fields);
  const config = readConfig(
    { final_logit_softcapping: 30, attn_logit_softcapping: 50, sliding_window: 4096, ...request.raw },
    more,
    request.file,
  );
  const layers = config.layer_types?.map((type) => type === 'sliding_attention') ?? base.window.layers;
  return buildDecoder(request, {
    ...base,
    norm: 'gemma',
    embeddingScale: true,
    activation: config.hidden_activation,
    scale: config.query_pre_attn_scalar ** -0.5,
    softcap: { attention: config.attn_logit_softcapping, logits: config.final_logit_softcapping },
    sandwich: true,
    window: {
      size: config.sliding_window,
      layers: Array.isArray(layers) ? layers : Array.from({ length: base.layers }, (_, index) => index % 2 === 0),
    },
  });
}

const gemmaFields = {
  ...COMMON,
  vocab_size: whole(256000),
  head_dim: whole(256),
  hidden_act: word(ACTIVATIONS, 'gelu_pytorch_tanh'),
  max_position_embeddings: whole(8192),
  tie_word_embeddings: truth(true),
  pad_token_id: numeric(0),
};

function qwenFields(request: Request) {
  return {
    ...COMMON,
    vocab_size: whole(151936),
    intermediate_size: whole(22016),
    num_key_value_heads: kvHeads(request, 32),
    max_position_embeddings: whole(32768),
  };
}

function qwenWindow(request: Request, layers: number): Decoder['window'] {
  const config = readConfig(request.raw, { ...WINDOWS, use_sliding_window: truth(false), max_window_layers: numeric(28) }, request.file);
  if (!config.use_sliding_window) return { size: null, layers: 'all' };
  const sliding = config.layer_types?.map((type) => type === 'sliding_attention');
  const size = request.raw.sliding_window === undefined ? 4096 : config.sliding_window;
  return { size, layers: sliding ?? Array.from({ length: layers }, (_, index) => size !== null && index >= config.max_window_layers) };
}

/** Absent is the class's own number, null as many as there are heads. */
function kvHeads(request: Request, fallback: number): ConfigField<number | null> {
  return request.raw.num_key_value_heads === undefined ? { ...whole(null), fallback } : whole(null);
}

function decoder(request: Request, fields: Omit<Fields, 'vocab_size'> & Pick<Fields, 'vocab_size'>): Decoder {
  const config = readConfig(request.raw, fields, request.file);
  const heads = config.num_attention_heads;
  const keyValueHeads = config.num_key_value_heads ?? heads;
  if (heads % keyValueHeads !== 0)
    throw configError(request.file, 'num_key_value_heads', `${keyValueHeads} does not divide num_attention_heads ${heads}`);
  return {
    vocabulary: config.vocab_size,
    features: config.hidden_size,
    inner: config.intermediate_size,
    layers: config.num_hidden_layers,
    heads,
    keyValueHeads,
    headSize: config.head_dim ?? Math.floor(config.hidden_size / heads),
    activation: config.hidden_act,
    positions: config.max_position_embeddings,
    eps: config.rms_norm_eps,
    tied: config.tie_word_embeddings,
    bias: { qkv: config.attention_bias, output: config.attention_bias, mlp: config.mlp_bias },
    dropout: config.attention_dropout,
    padding: config.pad_token_id,
    classifierDropout: config.classifier_dropout ?? 0.1,
    norm: 'rms',
    window: { size: null, layers: 'all' },
  };
}
