/** Reading an operator's arguments as the kinds that its ATen schema names. */
import type { ElementType } from '../dtype.js';
import type { Value } from '../registry.js';
import type { Session } from '../session.js';
import { Tensor } from '../tensor.js';

export function tensor(value: Value | undefined): Tensor {
  if (value instanceof Tensor) return value;
  throw new TypeError(`expected a tensor, found ${JSON.stringify(value)}`);
}

export function optionalTensor(value: Value | undefined): Tensor | null {
  return value instanceof Tensor ? value : null;
}

export function tensors(value: Value | undefined): Tensor[] {
  return (Array.isArray(value) ? value : [value]).map(tensor);
}

export function number(value: Value | undefined, fallback?: number): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (fallback !== undefined) return fallback;
  throw new TypeError(`expected a number, found ${JSON.stringify(value)}`);
}

export function flag(value: Value | undefined, fallback = false): boolean {
  return typeof value === 'boolean' ? value : typeof value === 'number' ? value !== 0 : fallback;
}

/** A list of numbers; a single number stands for a list of one. */
export function numbers(value: Value | undefined, fallback: number[] = []): number[] {
  if (Array.isArray(value)) return value.map((v) => number(v));
  return typeof value === 'number' ? [value] : fallback;
}

/** Two numbers for height and width; one stands for both. */
export function pair(value: Value | undefined, fallback: number): [number, number] {
  const list = numbers(value, [fallback]);
  const first = list[0] ?? fallback;
  return [first, list[1] ?? first];
}

/** A dtype argument; `model` is the session's. */
export function elementType(s: Session, value: Value | undefined): ElementType | null {
  if (typeof value !== 'string') return null;
  return value === 'model' ? s.options.modelType : (value as ElementType);
}

export function dimension(value: Value | undefined, rank: number, fallback = 0): number {
  const d = number(value, fallback);
  return d < 0 ? d + Math.max(rank, 1) : d;
}
