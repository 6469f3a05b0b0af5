/** Losses of transformers' heads. */
import type { GraphBuilder, Value } from '../builder.js';
import { toDtype } from '../ops/elementwise.js';
import { crossEntropy } from '../ops/layers.js';
import { contiguous, pad, slice, sliceOff, view } from '../ops/views.js';

/** How a release of transformers shifts: it pads the labels, or (before) copies the logits but for their last token. */
export type Shift = 'pad-labels' | 'copy-logits-float32' | 'copy-logits';

/** Next-token cross entropy over logits [B, S, V] and labels [B, S]. */
export function causalLoss(g: GraphBuilder, logits: Value, labels: Value, shift: Shift): Value {
  const classes = Number(logits.shape[2]);
  const scores = shift === 'copy-logits' ? logits : toDtype(g, logits, 'float32');
  if (shift === 'pad-labels') {
    const shifted = contiguous(g, slice(g, pad(g, labels, [0, 1], -100), 1, 1));
    return crossEntropy(g, view(g, scores, [-1, classes]), view(g, shifted, [-1]));
  }
  const shiftedScores = contiguous(g, sliceOff(g, scores, 1, 1));
  const shiftedLabels = contiguous(g, slice(g, labels, 1, 1));
  return crossEntropy(g, view(g, shiftedScores, [-1, classes]), view(g, shiftedLabels, [-1]));
}

/** Cross entropy of each token, logits [B, S, V] and labels [B, S]; in float32 where asked. */
export function tokenLoss(g: GraphBuilder, logits: Value, labels: Value, float32: 'before-view' | 'after-view' | false): Value {
  const classes = Number(logits.shape[2]);
  const scores = float32 === 'before-view' ? toDtype(g, logits, 'float32') : logits;
  const rows = view(g, scores, [-1, classes]);
  const targets = view(g, labels, [-1]);
  return crossEntropy(g, float32 === 'after-view' ? toDtype(g, rows, 'float32') : rows, targets);
}

/** Cross entropy of each sequence, logits [B, classes] and labels [B]; a single class is a regression. */
export function sequenceLoss(g: GraphBuilder, logits: Value, labels: Value): Value {
  const classes = Number(logits.shape[1]);
  if (classes > 1) return crossEntropy(g, view(g, logits, [-1, classes]), view(g, labels, [-1]));
  const flat = (x: Value): Value => g.call('aten.squeeze', [x], { shape: x.shape.slice(0, 1), dtype: x.dtype });
  return g.call('aten.mse_loss', [flat(logits), flat(labels)], { shape: [], dtype: logits.dtype });
}
