/** Heads on a decoder's hidden states [B, S, features]: next token, whole sequence, each token. */

import { capSoftly } from '../../blocks/attention.js';
import { causalLoss, sequenceLoss, tokenLoss } from '../../blocks/losses.js';
import { dropoutModule, linearModule } from '../../blocks/modules.js';
import { size, type Value } from '../../builder.js';
import type { ModelGraph } from '../../graph.js';
import { binary, compare } from '../../ops/elementwise.js';
import { crossEntropy, linear } from '../../ops/layers.js';
import { view } from '../../ops/views.js';
import { labelCount, sequenceLabels, shiftFor, type Text, tokenLabels } from './text.js';

export interface LanguageHead {
  /** The token embedding's weight where the head shares it. */
  tied: Value | null;
  bias?: boolean;
  /** cap * tanh(logits / cap) (Gemma 2). */
  softcap?: number | null;
  /** A module path other than lm_head. */
  name?: string;
  /** What the model adds to the loss. */
  extraLoss?: ((loss: Value) => Value) | undefined;
}

/** Logits over the vocabulary and the next-token loss, labels = input_ids. */
export function finishCausal(text: Text, hidden: Value, head: LanguageHead): ModelGraph {
  const { g } = text;
  const { tied, bias = false, softcap = null, name = 'lm_head' } = head;
  const logits = tied
    ? g.inModule(name, () => linear(g, hidden, g.tie('weight', tied), bias ? g.parameter('bias', [text.vocabulary]) : null))
    : linearModule(g, name, hidden, text.vocabulary, bias);
  g.holdInLocals([hidden]);
  const capped = softcap === null ? logits : capSoftly(g, logits, softcap);
  const loss = causalLoss(g, capped, text.ids, shiftFor(text));
  return g.finish(head.extraLoss ? head.extraLoss(loss) : loss, [capped]);
}

/** Scores of every token, of which the last that is not padding counts; the label is one a sequence. */
export function finishLastToken(text: Text, hidden: Value, padding: number, loss: 'flattened' | 'as-they-are' = 'flattened'): ModelGraph {
  const { g, batch, length, ids } = text;
  const labels = labelCount(text);
  const scores = linearModule(g, 'score', hidden, labels, false);
  const present = g.call('aten.to.dtype', [compare(g, 'aten.ne.Scalar', ids, padding), 'int32'], { shape: ids.shape, dtype: 'int32' });
  const positions = g.call('aten.arange', [size(length)], { shape: [length], dtype: 'int32' }, { dtype: 'int32' });
  const last = g.call('aten.argmax', [binary(g, 'aten.mul.Tensor', positions, present), -1], { shape: [batch], dtype: 'int64' });
  const rows = g.call('aten.arange', [size(batch)], { shape: [batch], dtype: 'int64' });
  g.holdInLocals([hidden, scores, present, positions, last]);
  const pooled = g.call('aten.index.Tensor', [scores, [rows, last]], { shape: [batch, labels], dtype: scores.dtype });
  const targets = sequenceLabels(text, labels);
  return g.finish(loss === 'flattened' ? sequenceLoss(g, pooled, targets) : crossEntropy(g, pooled, targets), [pooled]);
}

export interface TokenHead {
  name: string;
  dropout: number;
  float32: 'after-view' | false;
}

/** A label for each token. */
export function finishTokens(text: Text, hidden: Value, head: TokenHead): ModelGraph {
  const { g } = text;
  const labels = labelCount(text);
  const dropped = dropoutModule(g, 'dropout', hidden, head.dropout);
  g.holdInLocals([hidden, dropped]);
  const logits = linearModule(g, head.name, dropped, labels);
  return g.finish(tokenLoss(g, logits, tokenLabels(text, labels), head.float32), [logits]);
}

/** A label for each sequence from logits [B, labels]. */
export function finishSequence(text: Text, logitsFor: (labels: number) => Value): ModelGraph {
  const labels = labelCount(text);
  const logits = logitsFor(labels);
  return text.g.finish(sequenceLoss(text.g, logits, sequenceLabels(text, labels)), [logits]);
}

/** A linear layer to the vocabulary that shares the embedding's weight, its bias also held by the head under `bias`. */
export function tiedDecoder(text: Text, name: string, hidden: Value, tied: Value | null, bias: string | null): Value {
  const { g } = text;
  const shared = bias === null ? null : g.parameter(bias, [text.vocabulary]);
  return g.inModule(name, () => {
    const weight = tied ? g.tie('weight', tied) : g.parameter('weight', [text.vocabulary, Number(hidden.shape[2])]);
    // Untied, the layer has a bias of its own and the head's is never used.
    return linear(g, hidden, weight, shared && tied ? g.tie('bias', shared) : g.parameter('bias', [text.vocabulary]));
  });
}

/**
 * The loss of an encoder's language head: each token's (masked), or the next one's where the model is a decoder.
 * `lossModule` is the loss's own module, where it is one.
 */
export function finishVocabulary(text: Text, logits: Value, lossModule: string | null = null): ModelGraph {
  const { g, ids, head } = text;
  if (head === 'causal-lm') return g.finish(causalLoss(g, logits, ids, shiftFor(text)), [logits]);
  if (lossModule === null) return g.finish(tokenLoss(g, logits, ids, false), [logits]);
  const [rows, targets] = [view(g, logits, [-1, text.vocabulary]), view(g, ids, [-1])];
  return g.finish(
    g.inModule(lossModule, () => crossEntropy(g, rows, targets)),
    [logits],
  );
}
