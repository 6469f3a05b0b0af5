/** Pools, resizing, sums of products. */
import type { Value } from '../../../builder.js';
import { sizes } from '../../../builder.js';
import type { Size } from '../../../graph.js';
import { pool as applyPool } from '../../../ops/spatial.js';
import { reduce } from '../../../ops/views.js';
import type { Context, Operator } from '../context.js';
import type { Node } from '../document.js';
import { padInput } from './weights.js';

const pool =
  (kind: 'max' | 'avg'): Operator =>
  (c, node) => {
    const kernel = c.list(node, 'kernel_shape') ?? [];
    const { window, x, padding, ceil } = padInput(c, node, c.tensor(node, 0), kernel, true);
    const up = ceil || c.number(node, 'ceil_mode', 0) === 1;
    c.setValue(node, applyPool(c.g, kind, x, kernel, { ...window, padding, ceil: up }));
  };

const global =
  (op: string): Operator =>
  (c, node) => {
    const x = c.tensor(node, 0);
    if (op === 'avg' && x.shape.length === 4) {
      const shape = [...x.shape.slice(0, 2), 1, 1];
      return c.setValue(node, c.g.call('aten.adaptive_avg_pool2d', [x, [1, 1]], { shape, dtype: x.dtype }));
    }
    const axes = x.shape.map((_, index) => index).slice(2);
    c.setValue(node, reduce(c.g, op === 'avg' ? 'aten.mean.dim' : 'aten.amax', x, axes, true));
  };

const MODES: Record<string, string> = { nearest: 'nearest', linear: 'bilinear', cubic: 'bicubic' };

/** By sizes where they are given, else by factors; of the dimensions behind the channels. */
const resize: Operator = (c, node) => {
  const x = c.tensor(node, 0);
  const mode = MODES[c.text(node, 'mode', 'nearest')];
  const dimensions = x.shape.length - 2;
  const asked = c.document.opset >= 11 && c.has(node, 3) ? c.sizes(node, 3) : undefined;
  const factors = asked ? undefined : c.sizes(node, c.document.opset >= 11 ? 2 : 1);
  if (!mode || (!asked && !factors)) throw c.fail(node, 'expected sizes or scales, of nearest, linear or cubic mode');
  const extents = x.shape.slice(2).map((extent, index) => {
    if (asked) return asked.at(index - dimensions) as Size;
    return Math.floor(Number(extent) * Number(factors?.at(index - dimensions)));
  });
  const name = mode === 'bilinear' && dimensions === 1 ? 'linear' : mode === 'bilinear' && dimensions === 3 ? 'trilinear' : mode;
  const args = mode === 'nearest' ? [x, sizes(extents), null] : [x, sizes(extents), false, null];
  c.setValue(
    node,
    c.g.call(`aten.upsample_${name}${dimensions}d.vec`, args, { shape: [...x.shape.slice(0, 2), ...extents], dtype: x.dtype }),
  );
};

const einsum: Operator = (c, node) => {
  const equation = c.text(node, 'equation', '').replaceAll(' ', '');
  const values = node.inputs.map((_, index) => c.tensor(node, index));
  c.setValue(
    node,
    c.g.call('aten.einsum', [equation, values], { shape: einsumShape(c, node, equation, values), dtype: (values[0] as Value).dtype }),
  );
};

function einsumShape(c: Context, node: Node, equation: string, values: Value[]): Size[] {
  const [left = '', right] = equation.split('->');
  if (right === undefined || equation.includes('.')) throw c.fail(node, `equation "${equation}": expected letters and "->"`);
  const extents = new Map<string, Size>();
  for (const [index, term] of left.split(',').entries()) {
    for (const [axis, letter] of [...term].entries()) extents.set(letter, values[index]?.shape[axis] as Size);
  }
  return [...right].map((letter) => extents.get(letter) as Size);
}

export const POOLING_OPERATORS: Record<string, Operator> = {
  MaxPool: pool('max'),
  AveragePool: pool('avg'),
  GlobalAveragePool: global('avg'),
  GlobalMaxPool: global('max'),
  Resize: resize,
  Upsample: resize,
  Einsum: einsum,
};
