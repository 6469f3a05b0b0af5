/** ATen calls that move no or few bytes: views, reshapes, cuts and joins. */
import { floorDivide, minus, plus, times } from '../arithmetic.js';
import { type GraphBuilder, size, sizes, type Value } from '../builder.js';
import type { Size } from '../graph.js';
import { dimension, elementCount, resolveShape, withExtent, withoutDimension } from './shapes.js';

export function view(g: GraphBuilder, x: Value, shape: readonly Size[]): Value {
  return g.call('aten.view', [x, sizes(shape)], { shape: resolveShape(x.shape, shape), dtype: x.dtype });
}

/** A view where strides allow it, else a copy. */
export function reshape(g: GraphBuilder, x: Value, shape: readonly Size[]): Value {
  return g.call('aten.reshape', [x, sizes(shape)], { shape: resolveShape(x.shape, shape), dtype: x.dtype });
}

export function flatten(g: GraphBuilder, x: Value, start = 0, end = -1): Value {
  const last = dimension(end, x.shape.length);
  const shape = [...x.shape.slice(0, start), elementCount(x.shape.slice(start, last + 1)), ...x.shape.slice(last + 1)];
  const args = end === -1 ? (start === 0 ? [x] : [x, start]) : [x, start, end];
  return g.call('aten.flatten.using_ints', args, { shape, dtype: x.dtype });
}

export function transpose(g: GraphBuilder, x: Value, a: number, b: number): Value {
  const [first, second] = [dimension(a, x.shape.length), dimension(b, x.shape.length)];
  const shape = withExtent(withExtent(x.shape, first, x.shape[second] as Size), second, x.shape[first] as Size);
  return g.call('aten.transpose.int', [x, a, b], { shape, dtype: x.dtype });
}

export function permute(g: GraphBuilder, x: Value, order: number[]): Value {
  return g.call('aten.permute', [x, order], { shape: order.map((index) => x.shape[index] as Size), dtype: x.dtype });
}

export function contiguous(g: GraphBuilder, x: Value): Value {
  return g.call('aten.contiguous', [x], x);
}

/** `x.expand(shape)`; -1 keeps an extent. */
export function expand(g: GraphBuilder, x: Value, shape: readonly Size[]): Value {
  const lead = shape.length - x.shape.length;
  const result = shape.map((extent, index) => (extent === -1 ? (x.shape[index - lead] as Size) : extent));
  return g.call('aten.expand', [x, sizes(shape)], { shape: result, dtype: x.dtype });
}

export function unsqueeze(g: GraphBuilder, x: Value, dim: number): Value {
  const index = dimension(dim, x.shape.length + 1);
  return g.call('aten.unsqueeze', [x, dim], { shape: [...x.shape.slice(0, index), 1, ...x.shape.slice(index)], dtype: x.dtype });
}

export function squeeze(g: GraphBuilder, x: Value, dim: number): Value {
  return g.call('aten.squeeze.dim', [x, dim], { shape: withoutDimension(x.shape, dimension(dim, x.shape.length)), dtype: x.dtype });
}

/** x[..., start:end, ...] along `dim`; without `end` to the last element. Starts and ends count from the front. */
export function slice(g: GraphBuilder, x: Value, dim: number, start: Size, end?: Size): Value {
  const index = dimension(dim, x.shape.length);
  const shape = withExtent(x.shape, index, minus(end ?? (x.shape[index] as Size), start));
  return g.call('aten.slice.Tensor', end === undefined ? [x, dim, size(start)] : [x, dim, size(start), size(end)], {
    shape,
    dtype: x.dtype,
  });
}

/** x[..., :-count, ...] along `dim`. */
export function sliceOff(g: GraphBuilder, x: Value, dim: number, count: number): Value {
  const index = dimension(dim, x.shape.length);
  return g.call('aten.slice.Tensor', [x, dim, 0, -count], {
    shape: withExtent(x.shape, index, minus(x.shape[index] as Size, count)),
    dtype: x.dtype,
  });
}

export function select(g: GraphBuilder, x: Value, dim: number, index: number): Value {
  return g.call('aten.select.int', [x, dim, index], { shape: withoutDimension(x.shape, dimension(dim, x.shape.length)), dtype: x.dtype });
}

/** Pieces of `length` along `dim`. */
export function split(g: GraphBuilder, x: Value, length: number, dim: number): Value[] {
  const index = dimension(dim, x.shape.length);
  const count = floorDivide(x.shape[index] as Size, length);
  const piece = { shape: withExtent(x.shape, index, length), dtype: x.dtype };
  return g.callMany(
    'aten.split.Tensor',
    [x, length, dim],
    Array.from({ length: Number(count) }, () => piece),
  );
}

/** `count` equal pieces along `dim`. */
export function chunk(g: GraphBuilder, x: Value, count: number, dim: number): Value[] {
  const index = dimension(dim, x.shape.length);
  const piece = { shape: withExtent(x.shape, index, floorDivide(x.shape[index] as Size, count)), dtype: x.dtype };
  return g.callMany(
    'aten.chunk',
    [x, count, dim],
    Array.from({ length: count }, () => piece),
  );
}

export function unbind(g: GraphBuilder, x: Value, dim = 0): Value[] {
  const index = dimension(dim, x.shape.length);
  const piece = { shape: withoutDimension(x.shape, index), dtype: x.dtype };
  return g.callMany(
    'aten.unbind.int',
    dim === 0 ? [x] : [x, dim],
    Array.from({ length: Number(x.shape[index]) }, () => piece),
  );
}

export function cat(g: GraphBuilder, parts: readonly Value[], dim = 0): Value {
  const first = parts[0] as Value;
  const index = dimension(dim, first.shape.length);
  const shape = withExtent(first.shape, index, plus(...parts.map((part) => part.shape[index] as Size)));
  return g.call('aten.cat', dim === 0 ? [parts] : [parts, dim], { shape, dtype: first.dtype });
}

/** F.pad: pairs of (before, after), the last dimension first. */
export function pad(g: GraphBuilder, x: Value, amounts: number[], value?: number): Value {
  const shape = x.shape.map((extent, index) => {
    const at = 2 * (x.shape.length - 1 - index);
    return plus(extent, (amounts[at] ?? 0) + (amounts[at + 1] ?? 0));
  });
  return g.call('aten.pad', value === undefined ? [x, amounts] : [x, amounts, 'constant', value], { shape, dtype: x.dtype });
}

/** Sum or mean over dimensions: `reduce(g, 'aten.mean.dim', x, [-1], true)`. */
export function reduce(g: GraphBuilder, op: string, x: Value, dims: number[], keep = false): Value {
  const gone = new Set(dims.map((dim) => dimension(dim, x.shape.length)));
  const shape = keep ? x.shape.map((extent, index) => (gone.has(index) ? 1 : extent)) : x.shape.filter((_, index) => !gone.has(index));
  return g.call(op, keep ? [x, dims, true] : [x, dims], { shape, dtype: x.dtype });
}

/** The number of elements as one extent: rows of a flattened [.., features] value. */
export function rowCount(x: Value): Size {
  return times(...x.shape.slice(0, -1));
}
