/** GPT-NeoX. */
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
import { chunk } from '../../ops/views.js';
import type { Head } from '../../options.js';
import { type Config, checkDivides, numeric, probability, readConfig, rotaryFraction, truth, whole, word } from './config.js';
import { finishCausal, finishLastToken, finishTokens } from './heads.js';
import { beginText, type Request, type Text, unsupportedHead } from './text.js';

const FIELDS = {
  vocab_size: whole(50432),
  hidden_size: whole(6144),
  num_hidden_layers: whole(44),
  num_attention_heads: whole(64),
  intermediate_size: whole(24576),
  hidden_act: word(ACTIVATIONS, 'gelu'),
  attention_dropout: probability(0),
  hidden_dropout: probability(0),
  classifier_dropout: probability(0.1),
  max_position_embeddings: whole(2048),
  layer_norm_eps: numeric(1e-5),
  tie_word_embeddings: truth(false),
  use_parallel_residual: truth(true),
  attention_bias: truth(true),
  pad_token_id: numeric(null),
};
type GptNeoX = Config<typeof FIELDS> & { rotated: number };
const HEADS: Head[] = ['causal-lm', 'sequence-classification', 'token-classification'];

/** Reads a GPT-NeoX config (Pythia is one). */
export function readGptNeoX(request: Request): ModelGraph {
  if (!HEADS.includes(request.head)) throw unsupportedHead(request, HEADS);
  const fields = readConfig(request.raw, FIELDS, request.file);
  checkDivides(request.file, ['hidden_size', fields.hidden_size], ['num_attention_heads', fields.num_attention_heads]);
  const headSize = fields.hidden_size / fields.num_attention_heads;
  // As many as the table of frequencies covers: an odd share is rounded up.
  const rotated = 2 * Math.ceil(Math.trunc(headSize * rotaryFraction(request.raw, 'rotary_pct', 0.25, request.file)) / 2);
  const config = { ...fields, rotated };
  const text = beginText(request, config.vocab_size, { usual: config.max_position_embeddings });
  const hidden = text.g.inModule('gpt_neox', () => backbone(text, config));
  if (request.head === 'sequence-classification') return finishLastToken(text, hidden, config.pad_token_id ?? 0);
  if (request.head === 'token-classification')
    return finishTokens(text, hidden, { name: 'classifier', dropout: config.classifier_dropout, float32: 'after-view' });
  return finishCausal(text, hidden, { tied: config.tie_word_embeddings ? text.g.weight('gpt_neox.embed_in.weight') : null });
}

function backbone(text: Text, config: GptNeoX): Value {
  const { g, batch, length, eager } = text;
  const embedded = embeddingModule(g, 'embed_in', text.ids, config.vocab_size, config.hidden_size);
  const positions = positionIds(g, length);
  const mask = causalMask(g, { batch, length, positions, eager });
  g.holdInLocals([embedded]);
  let hidden = dropoutModule(g, 'emb_dropout', embedded, config.hidden_dropout);
  const tables = rotaryTables(g, 'rotary_emb', positions, config.rotated);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    hidden = g.inCheckpoint(`layers.${layer}`, () => block(text, config, hidden, mask, tables));
  }
  return layerNormModule(g, 'final_layer_norm', hidden, config.layer_norm_eps);
}

function block(text: Text, config: GptNeoX, x: Value, mask: Value | null, tables: RotaryTables): Value {
  const { g } = text;
  g.orderChildren('input_layernorm', 'post_attention_layernorm', 'attention', 'mlp');
  const normed = layerNormModule(g, 'input_layernorm', x, config.layer_norm_eps);
  const mixed = g.inModule('attention', () => attention(text, config, normed, mask, tables));
  const attended = dropoutModule(g, 'post_attention_dropout', mixed, config.hidden_dropout);
  const feedForward = (input: Value): Value => {
    const inputs = layerNormModule(g, 'post_attention_layernorm', input, config.layer_norm_eps);
    const fed = g.inModule('mlp', () => {
      const inner = activationModule(g, 'act', linearModule(g, 'dense_h_to_4h', inputs, config.intermediate_size), config.hidden_act);
      return linearModule(g, 'dense_4h_to_h', inner, config.hidden_size);
    });
    return dropoutModule(g, 'post_mlp_dropout', fed, config.hidden_dropout);
  };
  const hidden = config.use_parallel_residual ? null : add(g, attended, x);
  const fed = feedForward(hidden ?? x);
  g.holdInLocals(hidden ? [hidden, fed] : [attended, fed]);
  return hidden ? add(g, fed, hidden) : add(g, add(g, fed, attended), x);
}

function attention(text: Text, config: GptNeoX, x: Value, mask: Value | null, tables: RotaryTables): Value {
  const { g } = text;
  const headSize = config.hidden_size / config.num_attention_heads;
  const fused = splitHeads(g, linearModule(g, 'query_key_value', x, 3 * config.hidden_size, config.attention_bias), 3 * headSize);
  const [q, k, v] = chunk(g, fused, 3, -1) as [Value, Value, Value];
  const [query, key] = applyPartialRotary(g, q, k, tables, config.rotated);
  const options = { mask, causal: true, scale: headSize ** -0.5, dropout: config.attention_dropout };
  const mixed = text.eager ? attendWrittenOut(g, query, key, v, { ...options, style: 'llama' }) : attendFused(g, query, key, v, options);
  return linearModule(g, 'dense', joinHeads(g, mixed), config.hidden_size, config.attention_bias);
}
