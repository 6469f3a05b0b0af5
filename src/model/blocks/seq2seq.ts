/** Parts of encoder-decoder models. */
import type { GraphBuilder, Value } from '../builder.js';
import { compare } from '../ops/elementwise.js';
import { select, slice, sliceOff } from '../ops/views.js';

/** The decoder's inputs: the labels one place to the right behind a start token, ignored labels as padding. */
export function shiftRight(g: GraphBuilder, labels: Value, start: number, padding: number): Value {
  const shifted = g.call(
    'aten.new_zeros',
    [labels, labels.shape.map((extent) => (typeof extent === 'number' ? extent : `=${extent}`))],
    labels,
  );
  const kept = sliceOff(g, labels, 1, 1);
  const copy = g.call('aten.clone', [kept], kept);
  const target = slice(g, shifted, 1, 1);
  g.call('aten.copy_', [target, copy], target);
  const first = select(g, shifted, 1, 0);
  g.call('aten.fill_.Scalar', [first, start], first);
  const ignored = compare(g, 'aten.eq.Scalar', shifted, -100);
  return g.call('aten.masked_fill_.Scalar', [shifted, ignored, padding], shifted);
}
