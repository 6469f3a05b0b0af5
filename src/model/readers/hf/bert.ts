/** BERT and the encoders built like it: RoBERTa, ELECTRA. */
import { bufferPositions, intermediate, paddedPositions, postNorm, selfAttention, tokenTypes } from '../../blocks/encoder.js';
import { causalMask } from '../../blocks/masks.js';
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
  hidden_size: whole(768),
  num_hidden_layers: whole(12),
  num_attention_heads: whole(12),
  intermediate_size: whole(3072),
  hidden_act: word(ACTIVATIONS, 'gelu'),
  hidden_dropout_prob: probability(0.1),
  attention_probs_dropout_prob: probability(0.1),
  max_position_embeddings: whole(512),
  type_vocab_size: whole(2),
  layer_norm_eps: numeric(1e-12),
  pad_token_id: numeric(0),
  classifier_dropout: probability(null),
  is_decoder: truth(false),
  tie_word_embeddings: truth(true),
};
export type Bert = Config<typeof FIELDS>;
const HEADS: Head[] = ['masked-lm', 'causal-lm', 'sequence-classification', 'token-classification'];

/** Reads a BERT config. */
export function readBert(request: Request): ModelGraph {
  const config = readConfig(request.raw, FIELDS, request.file);
  const text = begin(request, config, config.max_position_embeddings);
  const { g, head } = text;
  if (head === 'sequence-classification') {
    const [hidden, pooled] = g.inModule('bert', () => {
      const states = backbone(text, config, null);
      return [states, pooler(text, states)] as const;
    });
    g.holdInLocals([hidden]);
    return finishSequence(text, (labels) =>
      linearModule(g, 'classifier', dropoutModule(g, 'dropout', pooled, classifierDropout(config)), labels),
    );
  }
  const hidden = g.inModule('bert', () => backbone(text, config, null));
  g.holdInLocals([hidden]);
  if (head === 'token-classification')
    return finishTokens(text, hidden, { name: 'classifier', dropout: classifierDropout(config), float32: false });
  const logits = g.inModule('cls.predictions', () => {
    const transformed = g.inModule('transform', () => {
      const dense = activationModule(g, 'transform_act_fn', linearModule(g, 'dense', hidden, config.hidden_size), config.hidden_act);
      return layerNormModule(g, 'LayerNorm', dense, config.layer_norm_eps);
    });
    return tiedDecoder(text, 'decoder', transformed, tiedWeight(text, config, 'bert'), 'bias');
  });
  return finishVocabulary(text, logits);
}

/** Reads a RoBERTa config. */
export function readRoberta(request: Request): ModelGraph {
  const config = readConfig(request.raw, { ...FIELDS, vocab_size: whole(50265), pad_token_id: numeric(1) }, request.file);
  const padding = config.pad_token_id ?? 1;
  const text = begin(request, config, config.max_position_embeddings - padding - 1);
  const { g, head } = text;
  const hidden = g.inModule('roberta', () => backbone(text, config, padding));
  g.holdInLocals([hidden]);
  if (head === 'sequence-classification') {
    return finishSequence(text, (labels) =>
      classifier(text, hidden, classifierDropout(config), labels, (dense) => unary(g, 'aten.tanh', dense)),
    );
  }
  if (head === 'token-classification')
    return finishTokens(text, hidden, { name: 'classifier', dropout: classifierDropout(config), float32: false });
  const logits = g.inModule('lm_head', () => {
    const dense = activationModule(g, null, linearModule(g, 'dense', hidden, config.hidden_size), 'gelu');
    const normed = layerNormModule(g, 'layer_norm', dense, config.layer_norm_eps);
    return tiedDecoder(text, 'decoder', normed, tiedWeight(text, config, 'roberta'), 'bias');
  });
  return finishVocabulary(text, logits);
}

/** Reads an ELECTRA config. */
export function readElectra(request: Request): ModelGraph {
  const fields = {
    ...FIELDS,
    hidden_size: whole(256),
    num_attention_heads: whole(4),
    intermediate_size: whole(1024),
    embedding_size: whole(128),
  };
  const config = readConfig(request.raw, fields, request.file);
  const text = begin(request, config, config.max_position_embeddings);
  const { g, head } = text;
  const hidden = g.inModule('electra', () => backbone(text, config, null, config.embedding_size));
  g.holdInLocals([hidden]);
  if (head === 'sequence-classification') {
    return finishSequence(text, (labels) =>
      classifier(text, hidden, classifierDropout(config), labels, (dense) => activationModule(g, 'activation', dense, 'gelu')),
    );
  }
  if (head === 'token-classification')
    return finishTokens(text, hidden, { name: 'classifier', dropout: classifierDropout(config), float32: false });
  const predicted = g.inModule('generator_predictions', () => {
    g.orderChildren('LayerNorm', 'dense');
    const dense = activationModule(g, 'activation', linearModule(g, 'dense', hidden, config.embedding_size), 'gelu');
    return layerNormModule(g, 'LayerNorm', dense, config.layer_norm_eps);
  });
  return finishVocabulary(text, tiedDecoder(text, 'generator_lm_head', predicted, tiedWeight(text, config, 'electra'), null));
}

function begin(request: Request, config: Bert, longest: number): Text {
  if (!HEADS.includes(request.head)) throw unsupportedHead(request, HEADS);
  checkDivides(request.file, ['hidden_size', config.hidden_size], ['num_attention_heads', config.num_attention_heads]);
  return beginText(request, config.vocab_size, { longest });
}

function tiedWeight({ g }: Text, config: Bert, base: string): Value | null {
  return config.tie_word_embeddings ? g.weight(`${base}.embeddings.word_embeddings.weight`) : null;
}

function classifierDropout(config: Bert): number {
  return config.classifier_dropout ?? config.hidden_dropout_prob;
}

/** `padding` is not null where positions skip padding (RoBERTa); `width` the embeddings' own (ELECTRA). */
function backbone(text: Text, config: Bert, padding: number | null, width = config.hidden_size): Value {
  const { g, batch, length, eager } = text;
  g.orderChildren('embeddings', 'embeddings_project', 'encoder', 'pooler');
  const embedded = g.inModule('embeddings', () => embeddings(text, config, padding, width));
  const projected = width === config.hidden_size ? embedded : linearModule(g, 'embeddings_project', embedded, config.hidden_size);
  g.holdInLocals([projected]);
  const mask = config.is_decoder ? causalMask(g, { batch, length, positions: null, eager }) : null;
  return g.inModule('encoder', () => {
    let hidden = projected;
    for (let layer = 0; layer < config.num_hidden_layers; layer++) {
      hidden = g.inCheckpoint(`layer.${layer}`, () => block(text, config, hidden, mask));
    }
    return hidden;
  });
}

function embeddings(text: Text, config: Bert, padding: number | null, width: number): Value {
  const { g, batch, length, ids } = text;
  const count = config.max_position_embeddings;
  if (padding === null) g.orderChildren('word_embeddings', 'position_embeddings', 'token_type_embeddings', 'LayerNorm');
  else g.orderChildren('word_embeddings', 'token_type_embeddings', 'LayerNorm', 'position_embeddings');
  const positions = padding === null ? bufferPositions(g, count, length) : paddedPositions(g, ids, padding);
  if (padding !== null) g.buffer('position_ids', [1, count], 'int64');
  const types = tokenTypes(g, count, positions, [batch, length]);
  const words = embeddingModule(g, 'word_embeddings', ids, config.vocab_size, width, config.pad_token_id);
  const typed = embeddingModule(g, 'token_type_embeddings', types, config.type_vocab_size, width);
  const withTypes = add(g, words, typed);
  const placed = embeddingModule(g, 'position_embeddings', positions, count, width, padding);
  g.holdInLocals([words, typed, placed]);
  const summed = add(g, withTypes, placed);
  return dropoutModule(g, 'dropout', layerNormModule(g, 'LayerNorm', summed, config.layer_norm_eps), config.hidden_dropout_prob);
}

function block(text: Text, config: Bert, x: Value, mask: Value | null): Value {
  const { g, eager } = text;
  const after = { dropout: config.hidden_dropout_prob, eps: config.layer_norm_eps };
  const attended = g.inModule('attention', () => {
    const options = {
      heads: config.num_attention_heads,
      mask,
      causal: config.is_decoder,
      dropout: config.attention_probs_dropout_prob,
      eager,
    };
    const mixed = g.inModule('self', () => selfAttention(g, x, { ...options, names: ['query', 'key', 'value'] }));
    return postNorm(g, 'output', mixed, x, after);
  });
  return postNorm(g, 'output', intermediate(g, attended, config.intermediate_size, config.hidden_act), attended, after);
}

/** The first token through a dense layer and tanh. */
function pooler({ g }: Text, hidden: Value): Value {
  return g.inModule('pooler', () => {
    const first = linearModule(g, 'dense', select(g, hidden, 1, 0), Number(hidden.shape[2]));
    return g.inModule('activation', () => unary(g, 'aten.tanh', first));
  });
}

/** RoBERTa's and ELECTRA's classification head on the first token. */
function classifier({ g }: Text, hidden: Value, p: number, labels: number, activate: (dense: Value) => Value): Value {
  return g.inModule('classifier', () => {
    const first = dropoutModule(g, 'dropout', select(g, hidden, 1, 0), p);
    const active = activate(linearModule(g, 'dense', first, Number(hidden.shape[2])));
    return linearModule(g, 'out_proj', dropoutModule(g, 'dropout', active, p), labels);
  });
}
