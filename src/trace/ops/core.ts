/** The few primitives that every other operator and the autograd engine are made of. */
import { type ElementType, promote } from '../dtype.js';
import type { Session } from '../session.js';
import {
  broadcastShapes,
  contiguousStrides,
  isContiguous,
  isDense,
  likeStrides,
  product,
  sameShape,
  type Tensor,
  viewStrides,
} from '../tensor.js';

/** A memory format as ATen names it. */
export type MemoryFormat = 'contiguous_format' | 'channels_last' | 'channels_last_3d' | 'preserve_format';

/**
 * Strides of an elementwise result (TensorIterator): dense, in the order of dimensions that the first input decides
 * and later ones refine where it cannot (size 1 or broadcast).
 */
export function elementwiseStrides(shape: readonly number[], inputs: readonly Tensor[]): number[] {
  const [first] = inputs;
  if (first && inputs.every((t) => sameShape(t.shape, shape))) {
    if (inputs.every(isContiguous)) return contiguousStrides(shape);
    if (isDense(first) && inputs.every((t) => sameShape(t.strides, first.strides))) return [...first.strides];
  }
  const rank = shape.length;
  const aligned = inputs.map((t) => {
    const offset = rank - t.shape.length;
    return shape.map((size, i) => (i < offset || (t.shape[i - offset] === 1 && size !== 1) ? 0 : (t.strides[i - offset] as number)));
  });
  const order = shape.map((_, i) => rank - 1 - i);
  const compare = (a: number, b: number): number => {
    for (const strides of aligned) {
      const x = strides[a] as number;
      const y = strides[b] as number;
      if (x === 0 || y === 0) continue;
      if (x < y) return -1;
      if (x > y) return 1;
      if ((shape[a] as number) > (shape[b] as number)) return 1;
    }
    return 0;
  };
  for (let i = 1; i < rank; i++) {
    let moving = i;
    for (let j = i - 1; j >= 0; j--) {
      const comparison = compare(order[j] as number, order[moving] as number);
      if (comparison > 0) {
        [order[j], order[moving]] = [order[moving] as number, order[j] as number];
        moving = j;
      } else if (comparison < 0) break;
    }
  }
  const strides = new Array<number>(rank);
  let step = 1;
  for (const dimension of order) {
    strides[dimension] = step;
    step *= Math.max(shape[dimension] as number, 1);
  }
  return strides;
}

/** Output of an elementwise operator on `inputs` (broadcast), of the given type or their promoted one. */
export function elementwise(s: Session, inputs: readonly Tensor[], type?: ElementType): Tensor {
  let shape: readonly number[] = (inputs[0] as Tensor).shape;
  for (const t of inputs) if (t.shape !== shape) shape = broadcastShapes(shape, t.shape);
  const out = s.empty(shape, type ?? resultType(inputs), elementwiseStrides(shape, inputs));
  s.log?.add('elementwise', 'elementwise', inputs, [out]);
  return out;
}

/** torch.result_type: tensors without dimensions only count where they are of a higher kind. */
export function resultType(inputs: readonly Tensor[]): ElementType {
  const kind = (t: ElementType): number => (t === 'bool' ? 0 : t === 'complex64' ? 3 : t.startsWith('float') || t === 'bfloat16' ? 2 : 1);
  let withDimensions: ElementType | null = null;
  let without: ElementType | null = null;
  for (const t of inputs) {
    if (t.shape.length > 0) withDimensions = withDimensions ? promote(withDimensions, t.type) : t.type;
    else without = without ? promote(without, t.type) : t.type;
  }
  if (!withDimensions) return without as ElementType;
  if (!without || kind(without) <= kind(withDimensions)) return withDimensions;
  return promote(withDimensions, without);
}

/** A copy; `strides` default to what `clone(preserve_format)` gives. */
export function clone(s: Session, t: Tensor, strides?: readonly number[]): Tensor {
  const copy = s.empty(t.shape, t.type, strides ?? likeStrides(t));
  s.log?.add('copy', 'clone', [t], [copy]);
  s.record('clone', [t], [copy], [], ([grad]) => [grad ?? null]);
  return copy;
}

/** `t.contiguous()`: itself where it is row-major already, else a row-major copy. */
export function contiguous(s: Session, t: Tensor): Tensor {
  return isContiguous(t) ? t : clone(s, t, contiguousStrides(t.shape));
}

/** `t.to(dtype)`: itself where it has the type, else a copy whose gradient is cast back. */
export function castTo(s: Session, t: Tensor, type: ElementType): Tensor {
  if (t.type === type) return t;
  const source = t.type;
  const copy = s.empty(t.shape, type, likeStrides(t));
  s.log?.add('copy', '_to_copy', [t], [copy]);
  s.record('_to_copy', [t], [copy], [], ([grad]) => [grad ? castTo(s, grad, source) : null]);
  return copy;
}

/** A view operator: `backward` maps the gradient of the view to that of the base. */
export function viewOf(
  s: Session,
  t: Tensor,
  shape: readonly number[],
  strides: readonly number[],
  name: string,
  backward: (grad: Tensor) => Tensor,
): Tensor {
  const view = s.alias(t, shape, strides);
  view.base = t.base ?? t;
  s.record(name, [t], [view], [], ([grad]) => [grad ? backward(grad) : null]);
  return view;
}

/** Resolves one -1 in a list of sizes. */
export function inferSizes(sizes: readonly number[], elements: number): number[] {
  const at = sizes.indexOf(-1);
  if (at < 0) return [...sizes];
  const known = product(sizes.filter((size) => size !== -1));
  return sizes.map((size, i) => (i === at ? elements / Math.max(known, 1) : size));
}

/** `t.view(sizes)`, or null where the strides do not allow it. */
export function tryView(s: Session, t: Tensor, sizes: readonly number[]): Tensor | null {
  const shape = inferSizes(sizes, t.elements);
  const strides = viewStrides(t, shape);
  if (!strides) return null;
  const before = t.shape;
  return viewOf(s, t, shape, strides, 'view', (grad) => reshape(s, grad, before));
}

/** `t.reshape(sizes)`: a view where strides allow it, else a view of a row-major copy. */
export function reshape(s: Session, t: Tensor, sizes: readonly number[]): Tensor {
  return tryView(s, t, sizes) ?? (tryView(s, clone(s, t, contiguousStrides(t.shape)), sizes) as Tensor);
}

export function permute(s: Session, t: Tensor, dimensions: readonly number[]): Tensor {
  const order = dimensions.map((d) => (d < 0 ? d + t.shape.length : d));
  const inverse = new Array<number>(order.length);
  order.forEach((from, to) => {
    inverse[from] = to;
  });
  return viewOf(
    s,
    t,
    order.map((d) => t.shape[d] as number),
    order.map((d) => t.strides[d] as number),
    'permute',
    (grad) => permute(s, grad, inverse),
  );
}

export function transpose(s: Session, t: Tensor, a: number, b: number): Tensor {
  const order = t.shape.map((_, i) => i);
  const rank = order.length;
  const x = a < 0 ? a + rank : a;
  const y = b < 0 ? b + rank : b;
  [order[x], order[y]] = [order[y] as number, order[x] as number];
  return permute(s, t, order);
}

export function expand(s: Session, t: Tensor, sizes: readonly number[]): Tensor {
  const offset = sizes.length - t.shape.length;
  const shape = sizes.map((size, i) => (size === -1 ? (t.shape[i - offset] as number) : size));
  const strides = shape.map((size, i) => {
    if (i < offset) return 0;
    return t.shape[i - offset] === 1 && size !== 1 ? 0 : (t.strides[i - offset] as number);
  });
  const before = t.shape;
  return viewOf(s, t, shape, strides, 'expand', (grad) => sumTo(s, grad, before));
}

/** `at::sum_to`: sums the dimensions that broadcasting added. */
export function sumTo(s: Session, t: Tensor, shape: readonly number[]): Tensor {
  if (sameShape(t.shape, shape)) return t;
  const lead = t.shape.length - shape.length;
  const reduce: number[] = [];
  for (let i = 0; i < t.shape.length; i++) if (i < lead || (shape[i - lead] === 1 && t.shape[i] !== 1)) reduce.push(i);
  if (reduce.length === 0) return reshape(s, t, shape);
  const kept = t.shape.map((size, i) => (reduce.includes(i) ? 1 : size));
  const summed = s.empty(kept, t.type);
  s.log?.add('reduction', 'sum', [t], [summed]);
  return lead > 0 ? reshape(s, summed, shape) : summed;
}

/** A new elementwise tensor made from one input, as a backward kernel's output: not recorded. */
export function like(s: Session, t: Tensor, ...others: Tensor[]): Tensor {
  return elementwise(s, [t, ...others]);
}

/**
 * Gradients of two operands in the order in which generated code makes them, that of the operands' names in derivatives.yaml:
 * `other` before `self`, `mat2` before `self`.
 */
export function secondFirst(
  needs: readonly (boolean | undefined)[],
  first: () => Tensor,
  second: () => Tensor,
): [Tensor | null, Tensor | null] {
  const ofSecond = needs[1] ? second() : null;
  return [needs[0] ? first() : null, ofSecond];
}

/** Zeros that a gradient is added into. In place, but where the gradient is traced (a tensor subclass): FunctionsManual.cpp. */
export function addedIntoZeros(s: Session, like: Tensor): Tensor {
  const zeros = s.empty(like.shape, like.type);
  return s.options.outOfPlaceSums ? s.empty(like.shape, like.type) : zeros;
}
