/** Phi: attention and feed-forward side by side, on one layer norm. */
import { attendFused, attendWrittenOut, joinHeads, splitHeads } from '../../blocks/attention.js';
import { causalMask } from '../../blocks/masks.js';
import {
  ACTIVATIONS,
  activationModule,
  dropoutModule,
  embeddingModule,
  layerNormModule,
  linearModule,
  positionIds,
} from '../../blocks/modules.js';
import { applyPartialRotary, type RotaryTables, rotaryTables } from '../../blocks/rotary.js';
import type { Value } from '../../builder.js';
import type { ModelGraph } from '../../graph.js';
import { add } from '../../ops/elementwise.js';
import type { Head } from '../../options.js';
import { type Config, checkDivides, numeric, probability, readConfig, rotaryFraction, truth, whole, word } from './config.js';
import { finishCausal, finishLastToken, finishTokens } from './heads.js';
import { beginText, type Request, type Text, unsupportedHead } from './text.js';

const FIELDS = {
  vocab_size: whole(51200),
  hidden_size: whole(2048),
  intermediate_size: whole(8192),
  num_hidden_layers: whole(24),
  num_attention_heads: whole(32),
  num_key_value_heads: whole(null),
  resid_pdrop: probability(0),
  embd_pdrop: probability(0),
  attention_dropout: probability(0),
  hidden_act: word(ACTIVATIONS, 'gelu_new'),
  max_position_embeddings: whole(2048),
  layer_norm_eps: numeric(1e-5),
  qk_layernorm: truth(false),
  tie_word_embeddings: truth(false),
  pad_token_id: numeric(null),
};
type Phi = Config<typeof FIELDS> & { rotated: number };
const HEADS: Head[] = ['causal-lm', 'sequence-classification', 'token-classification'];

/** Reads a Phi config. */
export function readPhi(request: Request): ModelGraph {
  if (!HEADS.includes(request.head)) throw unsupportedHead(request, HEADS);
  const fields = readConfig(request.raw, FIELDS, request.file);
  checkDivides(request.file, ['hidden_size', fields.hidden_size], ['num_attention_heads', fields.num_attention_heads]);
  checkDivides(request.file, ['num_attention_heads', fields.num_attention_heads], ['num_key_value_heads', fields.num_key_value_heads ?? 1]);
  const headSize = fields.hidden_size / fields.num_attention_heads;
  const config = { ...fields, rotated: Math.trunc(headSize * rotaryFraction(request.raw, 'partial_rotary_factor', 0.5, request.file)) };
  const text = beginText(request, config.vocab_size, { usual: config.max_position_embeddings });
  const hidden = text.g.inModule('model', () => backbone(text, config));
  if (request.head === 'sequence-classification') return finishLastToken(text, hidden, config.pad_token_id ?? 0);
  if (request.head === 'token-classification') return finishTokens(text, hidden, { name: 'score', dropout: 0.1, float32: 'after-view' });
  return finishCausal(text, hidden, { tied: config.tie_word_embeddings ? text.g.weight('model.embed_tokens.weight') : null, bias: true });
}

function backbone(text: Text, config: Phi): Value {
  const { g, batch, length, eager } = text;
  const embedded = embeddingModule(g, 'embed_tokens', text.ids, config.vocab_size, config.hidden_size, config.pad_token_id);
  const positions = positionIds(g, length);
  const mask = causalMask(g, { batch, length, positions, eager });
  let hidden = dropoutModule(g, 'embed_dropout', embedded, config.embd_pdrop);
  const tables = rotaryTables(g, 'rotary_emb', positions, config.rotated);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    hidden = g.inCheckpoint(`layers.${layer}`, () => block(text, config, hidden, mask, tables));
  }
  return layerNormModule(g, 'final_layernorm', hidden, config.layer_norm_eps);
}

function block(text: Text, config: Phi, x: Value, mask: Value | null, tables: RotaryTables): Value {
  const { g } = text;
  g.orderChildren('self_attn', 'mlp', 'input_layernorm');
  const normed = layerNormModule(g, 'input_layernorm', x, config.layer_norm_eps);
  const mixed = g.inModule('self_attn', () => attention(text, config, normed, mask, tables));
  const attended = dropoutModule(g, 'resid_dropout', mixed, config.resid_pdrop);
  const fed = g.inModule('mlp', () => {
    const inner = activationModule(g, 'activation_fn', linearModule(g, 'fc1', normed, config.intermediate_size), config.hidden_act);
    return linearModule(g, 'fc2', inner, config.hidden_size);
  });
  const dropped = dropoutModule(g, 'resid_dropout', fed, config.resid_pdrop);
  g.holdInLocals([normed, attended, dropped]);
  return add(g, add(g, attended, dropped), x);
}

function attention(text: Text, config: Phi, x: Value, mask: Value | null, tables: RotaryTables): Value {
  const { g } = text;
  g.orderChildren('q_proj', 'k_proj', 'v_proj', 'dense', 'q_layernorm', 'k_layernorm');
  const heads = config.num_attention_heads;
  const keyValueHeads = config.num_key_value_heads ?? heads;
  const headSize = config.hidden_size / heads;
  const project = (name: string, count: number) => splitHeads(g, linearModule(g, name, x, count * headSize), headSize);
  let [q, k, v] = [project('q_proj', heads), project('k_proj', keyValueHeads), project('v_proj', keyValueHeads)];
  if (config.qk_layernorm) {
    q = layerNormModule(g, 'q_layernorm', q, config.layer_norm_eps);
    k = layerNormModule(g, 'k_layernorm', k, config.layer_norm_eps);
  }
  const [query, key] = applyPartialRotary(g, q, k, tables, config.rotated, true);
  const options = { groups: heads / keyValueHeads, mask, causal: true, scale: headSize ** -0.5, dropout: config.attention_dropout };
  const mixed = text.eager ? attendWrittenOut(g, query, key, v, { ...options, style: 'llama' }) : attendFused(g, query, key, v, options);
  return linearModule(g, 'dense', joinHeads(g, mixed), config.hidden_size);
}
