/** DistilBERT. */
import { bufferPositions, selfAttention } from '../../blocks/encoder.js';
import { ACTIVATIONS, activationModule, dropoutModule, embeddingModule, layerNormModule, linearModule } from '../../blocks/modules.js';
import type { Value } from '../../builder.js';
import type { ModelGraph } from '../../graph.js';
import { add, unary } from '../../ops/elementwise.js';
import { select } from '../../ops/views.js';
import type { Head } from '../../options.js';
import { type Config, checkDivides, numeric, probability, readConfig, truth, whole, word } from './config.js';
import { finishSequence, finishTokens, finishVocabulary, tiedDecoder } from './heads.js';
import { beginText, type Request, type Text, unsupportedHead } from './text.js';

const FIELDS = {
  vocab_size: whole(30522),
  max_position_embeddings: whole(512),
  n_layers: whole(6),
  n_heads: whole(12),
  dim: whole(768),
  hidden_dim: whole(3072),
  dropout: probability(0.1),
  attention_dropout: probability(0.1),
  activation: word(ACTIVATIONS, 'gelu'),
  seq_classif_dropout: probability(0.2),
  pad_token_id: numeric(0),
  tie_word_embeddings: truth(true),
};
type DistilBert = Config<typeof FIELDS>;
const ALIASES = { hidden_size: 'dim', num_attention_heads: 'n_heads', num_hidden_layers: 'n_layers' };
const HEADS: Head[] = ['masked-lm', 'sequence-classification', 'token-classification'];
const EPS = 1e-12;

/** Reads a DistilBERT config. */
export function readDistilBert(request: Request): ModelGraph {
  if (!HEADS.includes(request.head)) throw unsupportedHead(request, HEADS);
  const config = readConfig(request.raw, FIELDS, request.file, ALIASES);
  checkDivides(request.file, ['dim', config.dim], ['n_heads', config.n_heads]);
  const text = beginText(request, config.vocab_size, { longest: config.max_position_embeddings });
  const { g } = text;
  const hidden = g.inModule('distilbert', () => backbone(text, config));
  g.holdInLocals([hidden]);
  if (request.head === 'sequence-classification') {
    const dense = unary(g, 'aten.relu', linearModule(g, 'pre_classifier', select(g, hidden, 1, 0), config.dim));
    return finishSequence(text, (labels) =>
      linearModule(g, 'classifier', dropoutModule(g, 'dropout', dense, config.seq_classif_dropout), labels),
    );
  }
  if (request.head === 'token-classification')
    return finishTokens(text, hidden, { name: 'classifier', dropout: config.dropout, float32: false });
  const dense = activationModule(g, 'activation', linearModule(g, 'vocab_transform', hidden, config.dim), config.activation);
  const normed = layerNormModule(g, 'vocab_layer_norm', dense, EPS);
  const tied = config.tie_word_embeddings ? g.weight('distilbert.embeddings.word_embeddings.weight') : null;
  return finishVocabulary(text, tiedDecoder(text, 'vocab_projector', normed, tied, null), 'mlm_loss_fct');
}

function backbone(text: Text, config: DistilBert): Value {
  const { g } = text;
  const embedded = g.inModule('embeddings', () => {
    const words = embeddingModule(g, 'word_embeddings', text.ids, config.vocab_size, config.dim, config.pad_token_id);
    const positions = bufferPositions(g, config.max_position_embeddings, text.length);
    const placed = embeddingModule(g, 'position_embeddings', positions, config.max_position_embeddings, config.dim);
    g.holdInLocals([words, placed]);
    const summed = add(g, words, placed);
    return dropoutModule(g, 'dropout', layerNormModule(g, 'LayerNorm', summed, EPS), config.dropout);
  });
  g.holdInLocals([embedded]);
  return g.inModule('transformer', () => {
    let hidden = embedded;
    for (let layer = 0; layer < config.n_layers; layer++) hidden = g.inCheckpoint(`layer.${layer}`, () => block(text, config, hidden));
    return hidden;
  });
}

function block(text: Text, config: DistilBert, x: Value): Value {
  const { g, eager } = text;
  const attended = g.inModule('attention', () => {
    const options = { heads: config.n_heads, names: ['q_lin', 'k_lin', 'v_lin'] as const, dropout: config.attention_dropout, eager };
    return linearModule(g, 'out_lin', selfAttention(g, x, options), config.dim);
  });
  const hidden = layerNormModule(g, 'sa_layer_norm', add(g, attended, x), EPS);
  const fed = g.inModule('ffn', () => {
    const inner = activationModule(g, 'activation', linearModule(g, 'lin1', hidden, config.hidden_dim), config.activation);
    return dropoutModule(g, 'dropout', linearModule(g, 'lin2', inner, config.dim), config.dropout);
  });
  g.holdInLocals([attended], hidden);
  g.holdInLocals([hidden, fed]);
  return layerNormModule(g, 'output_layer_norm', add(g, fed, hidden), EPS);
}
