/** ALBERT: BERT with narrow embeddings and layers that share their weights. */
import { bufferPositions, selfAttention, tokenTypes } from '../../blocks/encoder.js';
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
  vocab_size: whole(30000),
  embedding_size: whole(128),
  hidden_size: whole(4096),
  num_hidden_layers: whole(12),
  num_hidden_groups: whole(1),
  num_attention_heads: whole(64),
  intermediate_size: whole(16384),
  inner_group_num: whole(1),
  hidden_act: word(ACTIVATIONS, 'gelu_new'),
  hidden_dropout_prob: probability(0),
  attention_probs_dropout_prob: probability(0),
  max_position_embeddings: whole(512),
  type_vocab_size: whole(2),
  layer_norm_eps: numeric(1e-12),
  classifier_dropout_prob: probability(0.1),
  pad_token_id: numeric(0),
  tie_word_embeddings: truth(true),
};
type Albert = Config<typeof FIELDS>;
const HEADS: Head[] = ['masked-lm', 'sequence-classification', 'token-classification'];

/** Reads an ALBERT config. Its layers share weights, so transformers has no checkpointing for it. */
export function readAlbert(request: Request): ModelGraph {
  if (!HEADS.includes(request.head)) throw unsupportedHead(request, HEADS);
  const config = readConfig(request.raw, FIELDS, request.file);
  checkDivides(request.file, ['hidden_size', config.hidden_size], ['num_attention_heads', config.num_attention_heads]);
  const text = beginText(request, config.vocab_size, { longest: config.max_position_embeddings });
  const { g } = text;
  const [hidden, whole] = g.inModule('albert', (): [Value, Value] => {
    const states = backbone(text, config);
    if (request.head !== 'sequence-classification') return [states, states];
    const dense = linearModule(g, 'pooler', select(g, states, 1, 0), config.hidden_size);
    return [states, g.inModule('pooler_activation', () => unary(g, 'aten.tanh', dense))];
  });
  g.holdInLocals([hidden]);
  if (request.head === 'sequence-classification') {
    return finishSequence(text, (labels) =>
      linearModule(g, 'classifier', dropoutModule(g, 'dropout', whole, config.classifier_dropout_prob), labels),
    );
  }
  if (request.head === 'token-classification')
    return finishTokens(text, whole, { name: 'classifier', dropout: config.classifier_dropout_prob, float32: false });
  const logits = g.inModule('predictions', () => {
    g.orderChildren('LayerNorm', 'dense', 'decoder');
    const dense = activationModule(g, 'activation', linearModule(g, 'dense', whole, config.embedding_size), config.hidden_act);
    const tied = config.tie_word_embeddings ? g.weight('albert.embeddings.word_embeddings.weight') : null;
    return tiedDecoder(text, 'decoder', layerNormModule(g, 'LayerNorm', dense, config.layer_norm_eps), tied, 'bias');
  });
  return finishVocabulary(text, logits);
}

function backbone(text: Text, config: Albert): Value {
  const { g, batch, length, ids } = text;
  const count = config.max_position_embeddings;
  const width = config.embedding_size;
  const embedded = g.inModule('embeddings', () => {
    g.orderChildren('word_embeddings', 'position_embeddings', 'token_type_embeddings', 'LayerNorm');
    const positions = bufferPositions(g, count, length);
    const types = tokenTypes(g, count, positions, [batch, length]);
    const words = embeddingModule(g, 'word_embeddings', ids, config.vocab_size, width, config.pad_token_id);
    const typed = embeddingModule(g, 'token_type_embeddings', types, config.type_vocab_size, width);
    const withTypes = add(g, words, typed);
    const placed = embeddingModule(g, 'position_embeddings', positions, count, width);
    g.holdInLocals([words, typed, placed]);
    const summed = add(g, withTypes, placed);
    return dropoutModule(g, 'dropout', layerNormModule(g, 'LayerNorm', summed, config.layer_norm_eps), config.hidden_dropout_prob);
  });
  g.holdInLocals([embedded]);
  return g.inModule('encoder', () => {
    let hidden = linearModule(g, 'embedding_hidden_mapping_in', embedded, config.hidden_size);
    for (let layer = 0; layer < config.num_hidden_layers; layer++) {
      const group = Math.floor((layer * config.num_hidden_groups) / config.num_hidden_layers);
      hidden = g.inModule(`albert_layer_groups.${group}`, () => {
        let inner = hidden;
        for (let index = 0; index < config.inner_group_num; index++)
          inner = g.inModule(`albert_layers.${index}`, () => block(text, config, inner));
        return inner;
      });
    }
    return hidden;
  });
}

function block(text: Text, config: Albert, x: Value): Value {
  const { g, eager } = text;
  g.orderChildren('full_layer_layer_norm', 'attention', 'ffn', 'ffn_output');
  const attended = g.inModule('attention', () => {
    g.orderChildren('query', 'key', 'value', 'dense', 'LayerNorm');
    const options = {
      heads: config.num_attention_heads,
      names: ['query', 'key', 'value'] as const,
      dropout: config.attention_probs_dropout_prob,
      eager,
    };
    const mixed = linearModule(g, 'dense', selfAttention(g, x, options), config.hidden_size);
    const dropped = dropoutModule(g, 'output_dropout', mixed, config.hidden_dropout_prob);
    g.holdInLocals([dropped]);
    return layerNormModule(g, 'LayerNorm', add(g, x, dropped), config.layer_norm_eps);
  });
  const inner = activationModule(g, 'activation', linearModule(g, 'ffn', attended, config.intermediate_size), config.hidden_act);
  const fed = linearModule(g, 'ffn_output', inner, config.hidden_size);
  g.holdInLocals([attended, fed]);
  return layerNormModule(g, 'full_layer_layer_norm', add(g, fed, attended), config.layer_norm_eps);
}
