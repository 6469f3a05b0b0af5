/** DeBERTa v2 and v3. */
import { type Disentangled, disentangledAttention, relativePositions } from '../../blocks/disentangled.js';
import { bufferPositions, intermediate, postNorm } from '../../blocks/encoder.js';
import { ACTIVATIONS, activationModule, dropoutModule, embeddingModule, layerNormModule, linearModule } from '../../blocks/modules.js';
import type { Value } from '../../builder.js';
import type { ModelGraph } from '../../graph.js';
import { add, compare, mul, toDtype } from '../../ops/elementwise.js';
import { crossEntropy, filled, layerNorm } from '../../ops/layers.js';
import { contiguous, expand, permute, select, squeeze, unsqueeze, view } from '../../ops/views.js';
import type { Head } from '../../options.js';
import { type Config, checkDivides, configError, numeric, probability, readConfig, structure, truth, whole, word } from './config.js';
import { finishSequence, finishTokens, finishVocabulary, tiedDecoder } from './heads.js';
import { beginText, labelCount, type Request, sequenceLabels, type Text, unsupportedHead } from './text.js';

const kinds = structure<string | string[] | null>(
  null,
  'a list of "c2p" and "p2c"',
  (value) => typeof value === 'string' || Array.isArray(value),
);
const FIELDS = {
  vocab_size: whole(128100),
  hidden_size: whole(1536),
  embedding_size: whole(null),
  num_hidden_layers: whole(24),
  num_attention_heads: whole(24),
  intermediate_size: whole(6144),
  hidden_act: word(ACTIVATIONS, 'gelu'),
  hidden_dropout_prob: probability(0.1),
  attention_probs_dropout_prob: probability(0.1),
  max_position_embeddings: whole(512),
  type_vocab_size: numeric(0),
  layer_norm_eps: numeric(1e-7),
  relative_attention: truth(false),
  max_relative_positions: numeric(-1),
  position_buckets: numeric(-1),
  norm_rel_ebd: structure('none', 'text', (value) => typeof value === 'string'),
  share_att_key: truth(false),
  pos_att_type: kinds,
  position_biased_input: truth(true),
  pad_token_id: numeric(0),
  pooler_dropout: probability(0),
  pooler_hidden_act: word(ACTIVATIONS, 'gelu'),
  pooler_hidden_size: whole(null),
  cls_dropout: probability(null),
  conv_kernel_size: numeric(0),
  conv_groups: whole(1),
  conv_act: word(ACTIVATIONS, 'tanh'),
  legacy: truth(true),
  tie_word_embeddings: truth(true),
};
type Deberta = Config<typeof FIELDS>;
const HEADS: Head[] = ['masked-lm', 'sequence-classification', 'token-classification'];

/** Reads a DeBERTa v2 or v3 config. */
export function readDebertaV2(request: Request): ModelGraph {
  if (!HEADS.includes(request.head)) throw unsupportedHead(request, HEADS);
  const config = readConfig(request.raw, FIELDS, request.file);
  checkDivides(request.file, ['hidden_size', config.hidden_size], ['num_attention_heads', config.num_attention_heads]);
  if (!config.legacy)
    throw configError(request.file, 'legacy', 'false is not supported yet', 'leave it out: published checkpoints have the legacy head');
  const longest = config.position_biased_input ? { longest: config.max_position_embeddings } : { usual: config.max_position_embeddings };
  const text = beginText(request, config.vocab_size, longest);
  const { g } = text;
  const hidden = g.inModule('deberta', () => backbone(text, config));
  g.holdInLocals([hidden]);
  if (request.head === 'token-classification')
    return finishTokens(text, hidden, { name: 'classifier', dropout: config.hidden_dropout_prob, float32: false });
  if (request.head === 'sequence-classification') return classify(text, config, hidden);
  const logits = g.inModule('cls.predictions', () => {
    const width = config.embedding_size ?? config.hidden_size;
    const transformed = g.inModule('transform', () => {
      const dense = activationModule(g, 'transform_act_fn', linearModule(g, 'dense', hidden, width), config.hidden_act);
      return layerNormModule(g, 'LayerNorm', dense, config.layer_norm_eps);
    });
    const tied = config.tie_word_embeddings ? g.weight('deberta.embeddings.word_embeddings.weight') : null;
    return tiedDecoder(text, 'decoder', transformed, tied, 'bias');
  });
  return finishVocabulary(text, logits);
}

function classify(text: Text, config: Deberta, hidden: Value): ModelGraph {
  const { g } = text;
  const pooled = g.inModule('pooler', () => {
    const first = dropoutModule(g, 'dropout', select(g, hidden, 1, 0), config.pooler_dropout);
    return activationModule(
      g,
      null,
      linearModule(g, 'dense', first, config.pooler_hidden_size ?? config.hidden_size),
      config.pooler_hidden_act,
    );
  });
  const logitsFor = (labels: number): Value =>
    linearModule(g, 'classifier', dropoutModule(g, 'dropout', pooled, config.cls_dropout ?? config.hidden_dropout_prob), labels);
  if (text.raw.problem_type !== undefined && text.raw.problem_type !== null) return finishSequence(text, logitsFor);
  // Without a problem type it looks for labels from 0 up, gathers what has one, and takes the loss in float32.
  const count = labelCount(text);
  const logits = logitsFor(count);
  const labels = sequenceLabels(text, count);
  const { batch } = text;
  const found = g.call('aten.nonzero', [compare(g, 'aten.ge.Scalar', labels, 0)], { shape: [batch, 1], dtype: 'int64' });
  const labeled = g.call('aten.gather', [logits, 0, expand(g, found, [batch, count])], logits);
  const targets = g.call('aten.gather', [labels, 0, view(g, found, [-1])], labels);
  const rows = toDtype(g, view(g, labeled, [-1, count]), 'float32');
  return g.finish(crossEntropy(g, rows, view(g, targets, [-1])), [logits]);
}

function backbone(text: Text, config: Deberta): Value {
  const { g, batch, length } = text;
  const mask = filled(g, 'aten.ones', [batch, length], null);
  const types = filled(g, 'aten.zeros', [batch, length], 'int64');
  const embedded = g.inModule('embeddings', () => embeddings(text, config, mask, types));
  // The encoder is asked for every layer's states: they live until the model returns.
  const states: Value[] = [embedded];
  const hidden = g.inModule('encoder', () => encoder(text, config, states, mask));
  g.holdInLocals([mask, types, ...states]);
  return hidden;
}

function embeddings(text: Text, config: Deberta, mask: Value, types: Value): Value {
  const { g, length } = text;
  const count = config.max_position_embeddings;
  const width = config.embedding_size ?? config.hidden_size;
  g.orderChildren('word_embeddings', 'position_embeddings', 'token_type_embeddings', 'embed_proj', 'LayerNorm');
  const positions = bufferPositions(g, count, length);
  const words = embeddingModule(g, 'word_embeddings', text.ids, config.vocab_size, width, config.pad_token_id);
  const placed = config.position_biased_input
    ? embeddingModule(g, 'position_embeddings', positions, count, width)
    : g.call('aten.zeros_like', [words], words);
  let summed = config.position_biased_input ? add(g, words, placed) : words;
  if (config.type_vocab_size > 0)
    summed = add(g, summed, embeddingModule(g, 'token_type_embeddings', types, config.type_vocab_size, width));
  if (width !== config.hidden_size) summed = linearModule(g, 'embed_proj', summed, config.hidden_size, false);
  const normed = layerNormModule(g, 'LayerNorm', summed, config.layer_norm_eps);
  return dropoutModule(g, 'dropout', mul(g, normed, toDtype(g, unsqueeze(g, mask, 2), 'model')), config.hidden_dropout_prob);
}

/** Adds each layer's output to `states`, which begin with the embeddings. */
function encoder(text: Text, config: Deberta, states: Value[], mask: Value): Value {
  const { g } = text;
  const embedded = states[0] as Value;
  g.orderChildren('layer', 'rel_embeddings', 'LayerNorm', 'conv');
  const options = attentionOptions(text, config);
  const rows = unsqueeze(g, unsqueeze(g, mask, 1), 2);
  const pairs = mul(g, rows, unsqueeze(g, squeeze(g, rows, -2), -1));
  const relative = config.relative_attention ? relativePositions(g, options) : null;
  const table = config.relative_attention ? relativeTable(text, config, options.span) : null;
  // Without relative attention its norm is there and never runs.
  if (!table && normsTable(config)) g.inModule('LayerNorm', () => normWeights(text, config));
  let hidden = embedded;
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    hidden = g.inCheckpoint(`layer.${layer}`, () => block(text, config, hidden, { mask: pairs, relative, table, options }));
    if (layer === 0 && config.conv_kernel_size > 0) hidden = g.inModule('conv', () => convolution(text, config, embedded, hidden, mask));
    states.push(hidden);
  }
  return hidden;
}

function attentionOptions(text: Text, config: Deberta): Disentangled {
  const longest = config.max_relative_positions < 1 ? config.max_position_embeddings : config.max_relative_positions;
  const types = Array.isArray(config.pos_att_type)
    ? config.pos_att_type
    : (config.pos_att_type ?? '').split('|').map((part) => part.trim().toLowerCase());
  return {
    batch: text.batch,
    length: text.length,
    heads: config.num_attention_heads,
    headSize: config.hidden_size / config.num_attention_heads,
    span: config.position_buckets > 0 ? config.position_buckets : longest,
    buckets: config.position_buckets,
    longest,
    kinds: { contentToPosition: types.includes('c2p'), positionToContent: types.includes('p2c') },
    shared: config.share_att_key,
    dropout: config.attention_probs_dropout_prob,
    positionDropout: config.hidden_dropout_prob,
  };
}

const normsTable = (config: Deberta): boolean => config.norm_rel_ebd.toLowerCase().includes('layer_norm');

function normWeights({ g }: Text, { hidden_size: features }: Deberta): [weight: Value, bias: Value] {
  return [g.parameter('weight', [features]), g.parameter('bias', [features])];
}

function relativeTable(text: Text, config: Deberta, span: number): Value {
  const { g } = text;
  const table = g.inModule('rel_embeddings', () => g.parameter('weight', [2 * span, config.hidden_size]));
  if (!normsTable(config)) return table;
  return g.inModule('LayerNorm', () => layerNorm(g, table, [config.hidden_size], ...normWeights(text, config), config.layer_norm_eps));
}

interface Shared {
  mask: Value;
  relative: Value | null;
  table: Value | null;
  options: Disentangled;
}

function block({ g }: Text, config: Deberta, x: Value, { mask, relative, table, options }: Shared): Value {
  const after = { dropout: config.hidden_dropout_prob, eps: config.layer_norm_eps };
  const attended = g.inModule('attention', () => {
    const mixed = g.inModule('self', () => disentangledAttention(g, x, mask, relative, table, options));
    return postNorm(g, 'output', mixed, x, after);
  });
  return postNorm(g, 'output', intermediate(g, attended, config.intermediate_size, config.hidden_act), attended, after);
}

/** The convolution beside the first layer that the largest v2 models have. */
function convolution({ g }: Text, config: Deberta, embedded: Value, hidden: Value, mask: Value): Value {
  const { hidden_size: features, conv_kernel_size: kernel, conv_groups: groups } = config;
  const columns = contiguous(g, permute(g, embedded, [0, 2, 1]));
  const convolved = g.inModule('conv', () => {
    const weight = g.parameter('weight', [features, features / groups, kernel]);
    const tail = groups === 1 ? [] : [[1], groups];
    return g.call('aten.conv1d', [columns, weight, g.parameter('bias', [features]), [1], [(kernel - 1) >> 1], ...tail], columns);
  });
  const rows = contiguous(g, permute(g, convolved, [0, 2, 1]));
  const padding = toDtype(g, g.call('aten.rsub.Scalar', [mask, 1], mask), 'bool');
  const filledRows = g.call('aten.masked_fill_.Scalar', [rows, expand(g, unsqueeze(g, padding, -1), rows.shape), 0], rows);
  const active = activationModule(g, null, dropoutModule(g, 'dropout', filledRows, config.hidden_dropout_prob), config.conv_act);
  const summed = add(g, hidden, active);
  const normed = layerNormModule(g, 'LayerNorm', summed, config.layer_norm_eps);
  g.holdInLocals([active, summed, normed]);
  return mul(g, normed, toDtype(g, unsqueeze(g, mask, 2), 'model'));
}
