/**
 * Numbers of the graph that are known without running it: constants, shapes, and what is computed from them. Sizes of the
 * batch stay symbolic, so that Shape, Gather, Concat, Reshape chains come out as sizes.
 */
import { floorDivide, minus, plus, times } from '../../arithmetic.js';
import type { Size } from '../../graph.js';

export interface Known {
  shape: number[];
  values: Size[];
}

export const scalar = (value: Size): Known => ({ shape: [], values: [value] });
export const vector = (values: readonly Size[]): Known => ({ shape: [values.length], values: [...values] });

type Combine = (a: Size, b: Size) => Size | undefined;

const numeric =
  (apply: (a: number, b: number) => number): Combine =>
  (a, b) =>
    typeof a === 'number' && typeof b === 'number' ? apply(a, b) : undefined;
const whole = (a: Size, b: Size): boolean => [a, b].every((each) => typeof each === 'string' || Number.isInteger(each));

const BINARY: Record<string, Combine> = {
  Add: (a, b) => (whole(a, b) ? plus(a, b) : numeric((x, y) => x + y)(a, b)),
  Sub: (a, b) => (whole(a, b) ? minus(a, b) : numeric((x, y) => x - y)(a, b)),
  Mul: (a, b) => (whole(a, b) ? times(a, b) : numeric((x, y) => x * y)(a, b)),
  Pow: numeric((x, y) => x ** y),
  Mod: numeric((x, y) => x - y * Math.floor(x / y)),
  Equal: (a, b) => (a === b ? 1 : 0),
  Greater: numeric((x, y) => Number(x > y)),
  Less: numeric((x, y) => Number(x < y)),
  GreaterOrEqual: numeric((x, y) => Number(x >= y)),
  LessOrEqual: numeric((x, y) => Number(x <= y)),
  And: numeric((x, y) => Number(x !== 0 && y !== 0)),
  Or: numeric((x, y) => Number(x !== 0 || y !== 0)),
  Max: numeric(Math.max),
  Min: numeric(Math.min),
};

const UNARY: Record<string, (value: number) => number> = {
  Sqrt: Math.sqrt,
  Neg: (value) => -value,
  Abs: Math.abs,
  Floor: Math.floor,
  Ceil: Math.ceil,
  Not: (value) => (value === 0 ? 1 : 0),
  Reciprocal: (value) => 1 / value,
  Exp: Math.exp,
};

/** The result of an elementwise operator over known numbers; undefined where it can't be told. */
export function computeElementwise(op: string, inputs: readonly Known[], integers: boolean): Known | undefined {
  const [a, b] = inputs;
  if (!a) return undefined;
  const unary = UNARY[op];
  if (unary && inputs.length === 1) {
    const values = a.values.map((value) => (typeof value === 'number' ? unary(value) : op === 'Neg' ? times(value, -1) : undefined));
    return values.every((value) => value !== undefined) ? { shape: a.shape, values } : undefined;
  }
  if (!b) return undefined;
  // A division of integers rounds towards zero; sizes are not negative.
  const combine = op === 'Div' ? (integers ? floorDivide : numeric((x, y) => x / y)) : BINARY[op];
  if (!combine) return undefined;
  const longer = a.values.length >= b.values.length ? a : b;
  if (Math.min(a.values.length, b.values.length) !== 1 && a.values.length !== b.values.length) return undefined;
  const values = longer.values.map((_, index) => combine(pick(a, index), pick(b, index)));
  return values.every((value): value is Size => value !== undefined) ? { shape: longer.shape, values } : undefined;
}

function pick({ values }: Known, index: number): Size {
  return values[values.length === 1 ? 0 : index] as Size;
}

/** [start, limit) in steps of delta. */
export function computeRange([start, limit, delta]: readonly Known[]): Known | undefined {
  const [from, to, step] = [start, limit, delta].map((each) => each?.values[0]);
  if (typeof from !== 'number' || typeof to !== 'number' || typeof step !== 'number' || step === 0) return undefined;
  const count = Math.max(0, Math.ceil((to - from) / step));
  return vector(Array.from({ length: Math.min(count, 100_000) }, (_, index) => from + index * step));
}

/** Elements of a vector, or a scalar for a scalar index. */
export function computeGather({ values }: Known, indices: Known): Known | undefined {
  const picked = indices.values.map((index) => (typeof index === 'number' ? values[index < 0 ? index + values.length : index] : undefined));
  return picked.every((value): value is Size => value !== undefined) ? { shape: indices.shape, values: picked } : undefined;
}
