/**
 * Tensors without values: a storage with a byte count and a reference count, and views of it with shape and strides.
 * What PyTorch's caching allocator would see follows from when a storage is born and when its last reference goes.
 */

import type { GradientFunction } from './autograd.js';
import { ELEMENT_BYTES, type ElementType } from './dtype.js';

export class Storage {
  /** Tensors (views) that refer to this storage. */
  references = 0;
  /** Its memory is gone. Backward of a recomputed region still reads shapes of tensors that forward has dropped. */
  freed = false;
  constructor(
    readonly id: number,
    readonly bytes: number,
  ) {}
}

export class Tensor {
  /** Handles on this tensor: local variables, saved tensors, gradient buffers. */
  references = 1;
  requiresGrad = false;
  gradientFunction: GradientFunction | null = null;
  /** Which output of `gradientFunction` this is. */
  outputIndex = 0;
  /** Index of the parameter that this leaf is, -1 for any other tensor. */
  parameter = -1;
  /** Made by a view operator: its storage belongs to another tensor too. */
  isView = false;
  /** What autograd takes a view for a view of: writing into the view gives that a new history. */
  base: Tensor | null = null;

  constructor(
    readonly storage: Storage,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
    readonly type: ElementType,
  ) {
    storage.references++;
  }

  get elements(): number {
    return product(this.shape);
  }
  /** Bytes of a dense tensor of this shape. */
  get bytes(): number {
    return this.elements * ELEMENT_BYTES[this.type];
  }
  size(dimension: number): number {
    return this.shape[dimension < 0 ? dimension + this.shape.length : dimension] as number;
  }
}

export function product(sizes: readonly number[]): number {
  let result = 1;
  for (let i = 0; i < sizes.length; i++) result *= sizes[i] as number;
  return result;
}

/** Row-major strides of a dense tensor. */
export function contiguousStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step;
    step *= Math.max(shape[i] as number, 1);
  }
  return strides;
}

/** Strides of a dense tensor whose channel (dimension 1) is innermost. Shapes of 4 (NCHW) or 5 (NCDHW) dimensions. */
export function channelsLastStrides(shape: readonly number[]): number[] {
  const order = shape.length === 4 ? [1, 3, 2, 0] : [1, 4, 3, 2, 0];
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (const dimension of order) {
    strides[dimension] = step;
    step *= Math.max(shape[dimension] as number, 1);
  }
  return strides;
}

function stridesMatch(shape: readonly number[], strides: readonly number[], expected: readonly number[]): boolean {
  for (let i = 0; i < shape.length; i++) if (shape[i] !== 1 && strides[i] !== expected[i]) return false;
  return true;
}

export function isContiguous(t: Tensor): boolean {
  let step = 1;
  for (let i = t.shape.length - 1; i >= 0; i--) {
    const size = t.shape[i] as number;
    if (size !== 1 && t.strides[i] !== step) return false;
    step *= size;
  }
  return true;
}

/** As `is_contiguous(memory_format=torch.channels_last)`. */
export function isChannelsLast(t: Tensor): boolean {
  return (t.shape.length === 4 || t.shape.length === 5) && stridesMatch(t.shape, t.strides, channelsLastStrides(t.shape));
}

/**
 * Whether PyTorch would suggest channels_last for this tensor (`suggest_memory_format`): strides grow in the order
 * C, W, H, N, and a tensor that is also row-major with one channel does not count.
 */
export function suggestsChannelsLast(t: Tensor): boolean {
  if (t.shape.length !== 4) return false;
  let smallest = 0;
  if (t.strides[1] === 0) return false;
  for (const dimension of [1, 3, 2, 0]) {
    const size = t.shape[dimension] as number;
    const stride = t.strides[dimension] as number;
    if (size === 0 || stride < smallest) return false;
    if (dimension === 0 && smallest === t.strides[1]) return false;
    smallest = stride * Math.max(size, 1);
  }
  return true;
}

/** No two elements share an address and there are no holes. */
export function isDense(t: Tensor): boolean {
  if (isContiguous(t)) return true;
  const order = t.shape.map((_, i) => i).filter((i) => t.shape[i] !== 1);
  order.sort((a, b) => (t.strides[a] as number) - (t.strides[b] as number));
  let step = 1;
  for (const i of order) {
    if (t.strides[i] !== step) return false;
    step *= t.shape[i] as number;
  }
  return true;
}

/** Strides of `empty_like`: those of a dense tensor are kept, else its order of dimensions, made dense. */
export function likeStrides(t: Tensor): number[] {
  if (isDense(t)) return [...t.strides];
  const order = t.shape.map((_, i) => i);
  // Stable, from the innermost: dimensions with stride 0 (expanded) stay where row-major order puts them.
  order.reverse();
  order.sort((a, b) => {
    const x = t.strides[a] as number;
    const y = t.strides[b] as number;
    return x === 0 || y === 0 ? 0 : x - y;
  });
  const strides = new Array<number>(t.shape.length);
  let step = 1;
  for (const i of order) {
    strides[i] = step;
    step *= Math.max(t.shape[i] as number, 1);
  }
  return strides;
}

/** Strides of a view with `shape` over the same elements, or null where only a copy can have that shape. */
export function viewStrides(t: Tensor, shape: readonly number[]): number[] | null {
  if (t.elements === 0) return contiguousStrides(shape);
  const strides = new Array<number>(shape.length);
  let view = shape.length - 1;
  let chunkStride = (t.strides[t.strides.length - 1] as number) ?? 1;
  let tensorElements = 1;
  let viewElements = 1;
  if (t.shape.length === 0) return contiguousStrides(shape);
  for (let i = t.shape.length - 1; i >= 0; i--) {
    tensorElements *= t.shape[i] as number;
    const last = i === 0;
    if (last || (t.shape[i - 1] !== 1 && t.strides[i - 1] !== tensorElements * chunkStride)) {
      while (view >= 0 && (viewElements < tensorElements || shape[view] === 1)) {
        strides[view] = viewElements * chunkStride;
        viewElements *= shape[view] as number;
        view--;
      }
      if (viewElements !== tensorElements) return null;
      if (!last) {
        chunkStride = t.strides[i - 1] as number;
        tensorElements = 1;
        viewElements = 1;
      }
    }
  }
  return view === -1 ? strides : null;
}

/** Broadcast shape of two shapes. */
export function broadcastShapes(a: readonly number[], b: readonly number[]): number[] {
  const length = Math.max(a.length, b.length);
  const shape = new Array<number>(length);
  for (let i = 1; i <= length; i++) {
    const x = a[a.length - i] ?? 1;
    const y = b[b.length - i] ?? 1;
    shape[length - i] = x === 1 ? y : x;
  }
  return shape;
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
