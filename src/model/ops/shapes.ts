/** Shape rules that several operators share. */
import { UsageError } from '../../errors.js';
import { floorDivide, minus, plus, times } from '../arithmetic.js';
import type { Size } from '../graph.js';

export type Pair = number | readonly [number, number];

export function pair(value: Pair): [number, number] {
  return typeof value === 'number' ? [value, value] : [value[0], value[1]];
}

/** A dimension counted from the end, from the front. */
export function dimension(index: number, rank: number): number {
  return index < 0 ? index + rank : index;
}

/** Number of elements. */
export function elementCount(shape: readonly Size[]): Size {
  return times(...shape);
}

/** The shape of an elementwise result. */
export function broadcast(a: readonly Size[], b: readonly Size[]): readonly Size[] {
  if (a === b || (a.length === b.length && a.every((extent, index) => extent === b[index]))) return a;
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, index) => {
    const left = a[index - rank + a.length] ?? 1;
    const right = b[index - rank + b.length] ?? 1;
    if (left !== right && left !== 1 && right !== 1) {
      throw new UsageError(
        'BAD_MODEL',
        `sizes of the model don't fit: [${a}] and [${b}] can't be combined`,
        'correct the sizes in the description',
      );
    }
    return left === 1 ? right : left;
  });
}

/** A target shape with its -1, if any, resolved against the shape that is viewed. */
export function resolveShape(from: readonly Size[], to: readonly Size[]): Size[] {
  if (!to.includes(-1)) return [...to];
  const rest = times(...to.filter((extent) => extent !== -1));
  return to.map((extent) => (extent === -1 ? floorDivide(elementCount(from), rest) : extent));
}

/** (n + 2*padding - dilation*(kernel-1) - 1) // stride + 1, of convolutions and pools. */
export function windowCount(extent: Size, kernel: number, stride: number, padding: number, dilation = 1, ceil = false): Size {
  const span = minus(plus(extent, 2 * padding), dilation * (kernel - 1) + 1);
  return plus(floorDivide(ceil ? plus(span, stride - 1) : span, stride), 1);
}

/** The shape with one extent replaced. */
export function withExtent(shape: readonly Size[], index: number, extent: Size): Size[] {
  return shape.map((old, position) => (position === index ? extent : old));
}

/** The shape without one dimension. */
export function withoutDimension(shape: readonly Size[], index: number): Size[] {
  return shape.filter((_, position) => position !== index);
}
