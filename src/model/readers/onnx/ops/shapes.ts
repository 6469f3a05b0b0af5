/** Operators that move, cut and join, and those that tell and make shapes. */
import { floorDivide, minus, plus, times } from '../../../arithmetic.js';
import { size, sizes, type Value } from '../../../builder.js';
import type { Size } from '../../../graph.js';
import { broadcast, elementCount, withExtent } from '../../../ops/shapes.js';
import { cat, expand, pad, permute, reshape, select, squeeze, unsqueeze } from '../../../ops/views.js';
import type { Context, Operator } from '../context.js';
import type { Node, Tensor } from '../document.js';
import { computeGather, computeRange, type Known, vector } from '../known.js';
import { embed } from './weights.js';

const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** Runs `known` on numbers that are known and no tensor of the graph, `tensor` otherwise. */
function either(c: Context, node: Node, known: (values: Known) => Known | undefined, tensor: () => void): void {
  const entry = c.entry(node.inputs[0] ?? '', node);
  const result = entry.known && !entry.value && entry.dtype !== 'model' ? known(entry.known) : undefined;
  if (result) c.setKnown(node, result, entry.dtype);
  else tensor();
}

/**
 * The target of a reshape for any batch: a 0 keeps an extent, a side that was the export's fixed batch is the batch, and one
 * that held it as a factor still does.
 */
export function targetShape(c: Context, node: Node, from: readonly Size[], to: readonly Size[]): Size[] {
  const allowed = c.number(node, 'allowzero', 0) === 1;
  const kept = to.map((extent, index) => (extent === 0 && !allowed ? (from[index] as Size) : extent));
  const open = kept.indexOf(-1);
  const symbolic = kept.some((extent) => typeof extent === 'string');
  const total = elementCount(from);
  if (c.fixedBatch !== null && typeof total === 'string' && !symbolic) {
    const per = Number(floorDivide(total, 'B'));
    const others = kept.slice(1).filter((extent) => extent !== -1) as number[];
    const rest = others.reduce((product, extent) => product * extent, 1);
    // Batch first, as a factor of the first side or alone in it.
    if (open < 0) return [times('B', per / rest), ...kept.slice(1)];
    if (open > 0 && kept[0] === c.fixedBatch) return ['B', ...kept.slice(1).map((extent) => (extent === -1 ? per / rest : extent))];
  }
  if (open < 0) return kept;
  const product = times(...kept.filter((extent) => extent !== -1));
  return kept.map((extent) => (extent === -1 ? floorDivide(total, product) : extent));
}

const reshapeTo: Operator = (c, node) => {
  const to = c.sizes(node, 1, 'shape') ?? [];
  either(
    c,
    node,
    ({ values }) => ({ shape: to.map((extent) => (extent === -1 ? values.length : Number(extent))), values }),
    () => {
      const x = c.tensor(node, 0);
      c.setValue(node, reshape(c.g, x, targetShape(c, node, x.shape, to)));
    },
  );
};

const flatten: Operator = (c, node) => {
  const x = c.tensor(node, 0);
  const axis = axisOf(c.number(node, 'axis', 1), x.shape.length);
  c.setValue(node, reshape(c.g, x, [elementCount(x.shape.slice(0, axis)), elementCount(x.shape.slice(axis))]));
};

const transpose: Operator = (c, node) => {
  const { initializer, value } = c.entry(node.inputs[0] ?? '', node);
  // A transposed matrix of weights is read by the product that it goes into.
  const users = c.users.get(node.outputs[0] ?? '') ?? [];
  if (initializer && initializer.shape.length === 2 && users.every((each) => each.op === 'MatMul' && each.inputs[1] === node.outputs[0])) {
    c.entries.set(node.outputs[0] as string, { dtype: 'model', value });
    return;
  }
  const x = c.tensor(node, 0);
  c.setValue(node, permute(c.g, x, c.list(node, 'perm') ?? x.shape.map((_, index) => x.shape.length - 1 - index)));
};

const unsqueezeAt: Operator = (c, node) => {
  const axes = c.integers(node, 1, 'axes') ?? [];
  either(
    c,
    node,
    ({ shape, values }) => ({ shape: [...axes.map(() => 1), ...shape], values }),
    () => {
      const x = c.tensor(node, 0);
      const rank = x.shape.length + axes.length;
      const sorted = axes.map((axis) => axisOf(axis, rank)).sort((a, b) => a - b);
      c.setValue(
        node,
        sorted.reduce((value, axis) => unsqueeze(c.g, value, axis), x),
      );
    },
  );
};

const squeezeAt: Operator = (c, node) => {
  const given = c.integers(node, 1, 'axes');
  either(
    c,
    node,
    ({ values }) => (values.length === 1 ? { shape: [], values } : undefined),
    () => {
      const x = c.tensor(node, 0);
      const axes = given ?? x.shape.flatMap((extent, index) => (extent === 1 ? [index] : []));
      const sorted = axes.map((axis) => axisOf(axis, x.shape.length)).sort((a, b) => b - a);
      c.setValue(
        node,
        sorted.reduce((value, axis) => squeeze(c.g, value, axis), x),
      );
    },
  );
};

const concat: Operator = (c, node) => {
  const entries = node.inputs.map((name) => c.entry(name, node));
  if (entries.every(({ known, value, dtype }) => known && !value && dtype !== 'model')) {
    return c.setKnown(node, vector(entries.flatMap(({ known }) => (known as Known).values)), 'int64');
  }
  const parts = node.inputs.map((_, index) => c.tensor(node, index));
  const first = parts[0] as Value;
  c.setValue(node, cat(c.g, parts, axisOf(c.number(node, 'axis', 0), first.shape.length)));
};

const split: Operator = (c, node) => {
  const x = c.tensor(node, 0);
  const axis = axisOf(c.number(node, 'axis', 0), x.shape.length);
  const extent = x.shape[axis] as Size;
  const count = node.outputs.length;
  const lengths = c.sizes(node, 1, 'split') ?? Array.from({ length: count }, () => floorDivide(plus(extent, count - 1), count));
  const results = lengths.map((length) => ({ shape: withExtent(x.shape, axis, length), dtype: x.dtype }));
  const values = c.g.callMany('aten.split_with_sizes', [x, sizes(lengths), axis], results);
  for (const [index, value] of values.entries()) if (node.outputs[index]) c.setValue(node, value, index);
};

/** A bound of a slice, from the front and within the extent. */
function bound(value: Size, extent: Size): Size {
  if (typeof value !== 'number') return value;
  if (value < 0) return typeof extent === 'number' ? Math.max(0, extent + value) : plus(extent, value);
  return typeof extent === 'number' ? Math.min(value, extent) : value > 2 ** 30 ? extent : value;
}

const slice: Operator = (c, node) => {
  const starts = c.sizes(node, 1, 'starts') ?? [];
  const ends = c.sizes(node, 2, 'ends') ?? [];
  const axes = c.integers(node, 3, 'axes') ?? starts.map((_, index) => index);
  const steps = c.integers(node, 4) ?? starts.map(() => 1);
  if (steps.some((step) => step < 1)) throw c.fail(node, 'steps back are not supported');
  either(
    c,
    node,
    ({ values }) => vector(values.slice(Number(bound(starts[0] as Size, values.length)), Number(bound(ends[0] as Size, values.length)))),
    () => {
      const cut = axes.reduce(
        (x, given, index) => {
          const axis = axisOf(given, x.shape.length);
          const extent = x.shape[axis] as Size;
          const [from, to, step] = [bound(starts[index] as Size, extent), bound(ends[index] as Size, extent), steps[index] ?? 1];
          const length = floorDivide(plus(minus(to, from), step - 1), step);
          if (length === extent) return x;
          const args = [x, axis, size(from), size(to), ...(step > 1 ? [step] : [])];
          return c.g.call('aten.slice.Tensor', args, { shape: withExtent(x.shape, axis, length), dtype: x.dtype });
        },
        c.tensor(node, 0),
      );
      c.setValue(node, cut);
    },
  );
};

const gather: Operator = (c, node) => {
  const source = c.entry(node.inputs[0] ?? '', node);
  const indices = c.known(node, 1);
  if (source.known && !source.value && source.dtype !== 'model' && indices) {
    const picked = computeGather(source.known, indices);
    if (picked) return c.setKnown(node, picked, source.dtype);
  }
  const single = indices?.values.length === 1 && typeof indices.values[0] === 'number' ? indices.values[0] : undefined;
  if (single === undefined && embed(c, node)) return;
  const x = c.tensor(node, 0);
  const axis = axisOf(c.number(node, 'axis', 0), x.shape.length);
  if (single !== undefined && indices?.shape.length === 0) return c.setValue(node, select(c.g, x, axis, single));
  const at = c.tensor(node, 1);
  const shape = [...x.shape.slice(0, axis), ...at.shape, ...x.shape.slice(axis + 1)];
  const flat = at.shape.length === 1 ? at : reshape(c.g, at, [elementCount(at.shape)]);
  const rows = c.g.call('aten.index_select', [x, axis, flat], { shape: withExtent(x.shape, axis, elementCount(at.shape)), dtype: x.dtype });
  c.setValue(node, at.shape.length === 1 ? rows : reshape(c.g, rows, shape));
};

const expandTo: Operator = (c, node) => {
  const to = c.sizes(node, 1) ?? [];
  either(
    c,
    node,
    ({ shape, values }) =>
      values.length === 1 && to.every((extent) => typeof extent === 'number')
        ? filledKnown(to as number[], values[0] as Size)
        : shape.length === to.length
          ? { shape, values }
          : undefined,
    () => {
      const x = c.tensor(node, 0);
      const target = to.map((extent, index) => (c.fixedBatch !== null && index === 0 && extent === c.fixedBatch ? 'B' : extent));
      const shape = broadcast(x.shape, target);
      c.setValue(
        node,
        shape.length === x.shape.length && shape.every((extent, index) => extent === x.shape[index]) ? x : expand(c.g, x, shape),
      );
    },
  );
};

function filledKnown(shape: number[], value: Size): Known | undefined {
  const count = shape.reduce((product, extent) => product * extent, 1);
  return count <= 4096 ? { shape, values: new Array<Size>(count).fill(value) } : undefined;
}

/** A tensor of one number: known where it is small and of integers, else made by the graph. */
const constantOfShape: Operator = (c, node) => {
  const shape = c.sizes(node, 0) ?? [];
  const given = node.attributes.get('value') as Tensor | undefined;
  const value = given?.values?.[0] ?? 0;
  const dtype = given?.dtype ?? 'model';
  const known =
    dtype !== 'model' && shape.every((extent) => typeof extent === 'number') ? filledKnown(shape as number[], value) : undefined;
  if (known) return c.setKnown(node, known, dtype);
  c.setValue(node, c.g.call('aten.full', [sizes(shape), value], { shape, dtype }, { dtype }));
};

const range: Operator = (c, node) => {
  const inputs = [0, 1, 2].map((index) => c.known(node, index) as Known);
  const known = inputs.every(Boolean) ? computeRange(inputs) : undefined;
  if (known) return c.setKnown(node, known, 'int64');
  const [start = 0, limit] = inputs.map((each) => each?.values[0]);
  if (limit === undefined || inputs[2]?.values[0] !== 1) throw c.fail(node, 'its ends depend on data');
  const extent = minus(limit, start);
  c.setValue(node, c.g.call('aten.arange', [size(extent)], { shape: [extent], dtype: 'int64' }));
};

const constant: Operator = (c, node) => {
  const tensor = node.attributes.get('value') as Tensor | undefined;
  const number = node.attributes.get('value_float') ?? node.attributes.get('value_int');
  const list = c.list(node, 'value_ints') ?? c.list(node, 'value_floats');
  const dtype = tensor?.dtype ?? (node.attributes.has('value_int') || node.attributes.has('value_ints') ? 'int64' : 'model');
  if (tensor) {
    const known = tensor.values ? { shape: tensor.shape, values: tensor.values } : undefined;
    if (known) return c.setKnown(node, known, dtype);
    c.setValue(node, c.hold(node.outputs[0] as string, tensor.shape, dtype, false));
  } else if (typeof number === 'number') c.setKnown(node, { shape: [], values: [number] }, dtype);
  else c.setKnown(node, vector(list ?? []), dtype);
};

const padTo: Operator = (c, node) => {
  const x = c.tensor(node, 0);
  const mode = c.text(node, 'mode', 'constant');
  const amounts = c.integers(node, 1, 'pads') ?? [];
  const axes = c.integers(node, 3) ?? x.shape.map((_, index) => index);
  const sides = x.shape.map((_, index) => {
    const at = axes.map((axis) => axisOf(axis, x.shape.length)).indexOf(index);
    return at < 0 ? [0, 0] : [amounts[at] ?? 0, amounts[at + axes.length] ?? 0];
  });
  while (sides.length > 1 && sides[0]?.every((amount) => amount === 0)) sides.shift();
  const order = [...sides].reverse().flat();
  if (order.every((amount) => amount === 0)) return c.setValue(node, x);
  const padded = pad(c.g, x, order);
  if (mode === 'constant') return c.setValue(node, padded);
  c.setValue(node, c.g.call('aten.pad', [x, order, mode === 'edge' ? 'replicate' : mode], padded));
};

const tile: Operator = (c, node) => {
  const repeats = c.integers(node, 1) ?? [];
  either(
    c,
    node,
    () => undefined,
    () => {
      const x = c.tensor(node, 0);
      const shape = x.shape.map((extent, index) => times(extent, repeats[index] ?? 1));
      c.setValue(node, c.g.call('aten.repeat', [x, repeats], { shape, dtype: x.dtype }));
    },
  );
};

export const SHAPE_OPERATORS: Record<string, Operator> = {
  Shape: (c, node) =>
    c.setKnown(
      node,
      vector(
        c.shapeOf(node, 0).values.slice(c.number(node, 'start', 0), node.attributes.has('end') ? c.number(node, 'end', 0) : undefined),
      ),
      'int64',
    ),
  Size: (c, node) => c.setKnown(node, { shape: [], values: [elementCount(c.shapeOf(node, 0).values)] }, 'int64'),
  Constant: constant,
  ConstantOfShape: constantOfShape,
  Range: range,
  Reshape: reshapeTo,
  Flatten: flatten,
  Transpose: transpose,
  Unsqueeze: unsqueezeAt,
  Squeeze: squeezeAt,
  Concat: concat,
  Split: split,
  Slice: slice,
  Gather: gather,
  Expand: expandTo,
  Pad: padTo,
  Tile: tile,
};
