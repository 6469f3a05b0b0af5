/** View operators: they allocate nothing forward; their backward is a view too, or fills a tensor of the base's size. */
import { define, type Rule } from '../registry.js';
import type { Session } from '../session.js';
import { channelsLastStrides, contiguousStrides, isChannelsLast, likeStrides, product, type Tensor } from '../tensor.js';
import { dimension, elementType, number, numbers, tensor, tensors } from './arguments.js';
import { castTo, clone, contiguous, expand, inferSizes, permute, reshape, sumTo, transpose, tryView, viewOf } from './core.js';

/** The gradient of a part, written into zeros of the whole. */
function filled(s: Session, whole: readonly number[], grad: Tensor): Tensor {
  return s.empty(whole, grad.type);
}

export function slice(s: Session, t: Tensor, d: number, start: number, end: number, step = 1): Tensor {
  const size = t.shape[d] as number;
  const clamp = (v: number): number => Math.min(Math.max(v < 0 ? v + size : v, 0), size);
  const from = clamp(start);
  const to = Math.max(clamp(end), from);
  const shape = t.shape.map((n, i) => (i === d ? Math.ceil((to - from) / step) : n));
  const strides = t.strides.map((n, i) => (i === d ? n * step : n));
  const whole = t.shape;
  return viewOf(s, t, shape, strides, 'slice', (grad) => filled(s, whole, grad));
}

export function select(s: Session, t: Tensor, d: number): Tensor {
  const whole = t.shape;
  return viewOf(
    s,
    t,
    t.shape.filter((_, i) => i !== d),
    t.strides.filter((_, i) => i !== d),
    'select',
    (grad) => filled(s, whole, grad),
  );
}

export function unsqueeze(s: Session, t: Tensor, d: number): Tensor {
  const at = d < 0 ? d + t.shape.length + 1 : d;
  const shape = [...t.shape.slice(0, at), 1, ...t.shape.slice(at)];
  const inner = at < t.shape.length ? (t.shape[at] as number) * (t.strides[at] as number) : 1;
  const strides = [...t.strides.slice(0, at), inner, ...t.strides.slice(at)];
  return viewOf(s, t, shape, strides, 'unsqueeze', (grad) => squeeze(s, grad, [at]));
}

export function squeeze(s: Session, t: Tensor, dimensions: readonly number[]): Tensor {
  const drop = t.shape.map((size, i) => size === 1 && dimensions.includes(i));
  const whole = t.shape;
  return viewOf(
    s,
    t,
    t.shape.filter((_, i) => !drop[i]),
    t.strides.filter((_, i) => !drop[i]),
    'squeeze',
    (grad) => reshape(s, grad, whole),
  );
}

/** Several views of one tensor along a dimension; backward concatenates their gradients, with zeros for missing ones. */
export function split(s: Session, t: Tensor, d: number, sizes: readonly number[]): Tensor[] {
  const parts = sizes.map((size) =>
    s.alias(
      t,
      t.shape.map((n, i) => (i === d ? size : n)),
      t.strides,
    ),
  );
  const whole = t.shape;
  const shapes = parts.map((p) => p.shape);
  s.record('split', [t], parts, [], (grads) => {
    grads.forEach((grad, i) => {
      if (!grad) s.empty(shapes[i] as number[], t.type);
    });
    return [s.empty(whole, t.type)];
  });
  return parts;
}

function evenSizes(size: number, each: number): number[] {
  const sizes: number[] = [];
  for (let left = size; left > 0; left -= each) sizes.push(Math.min(each, left));
  return sizes;
}

const splitRule: Rule = (s, args) => {
  const t = tensor(args[0]);
  const d = dimension(args[2], t.shape.length);
  return split(s, t, d, Array.isArray(args[1]) ? numbers(args[1]) : evenSizes(t.size(d), number(args[1])));
};

const chunkRule: Rule = (s, args) => {
  const t = tensor(args[0]);
  const d = dimension(args[2], t.shape.length);
  return split(s, t, d, evenSizes(t.size(d), Math.ceil(t.size(d) / number(args[1]))));
};

/** tensor_split and friends make separate slices. */
const tensorSplitRule: Rule = (s, args) => {
  const t = tensor(args[0]);
  const d = dimension(args[2], t.shape.length);
  const size = t.size(d);
  const bounds = Array.isArray(args[1])
    ? numbers(args[1])
    : Array.from({ length: number(args[1]) - 1 }, (_, i) => Math.ceil(((i + 1) * size) / number(args[1])));
  return [0, ...bounds].map((start, i) => slice(s, t, d, start, bounds[i] ?? size));
};

const unbindRule: Rule = (s, args) => {
  const t = tensor(args[0]);
  const d = dimension(args[1], t.shape.length);
  const shape = t.shape.filter((_, i) => i !== d);
  const strides = t.strides.filter((_, i) => i !== d);
  const parts = Array.from({ length: t.size(d) }, () => s.alias(t, shape, strides));
  const whole = t.shape;
  s.record('unbind', [t], parts, [], (grads) => {
    for (const grad of grads) if (!grad) s.empty([], t.type);
    return [s.empty(whole, t.type)];
  });
  return parts;
};

/** `flatten(start, end)`; the view is t itself where nothing changes. */
const flattenRule: Rule = (s, args) => {
  const t = tensor(args[0]);
  const start = dimension(args[1], t.shape.length, 0);
  const end = dimension(args[2], t.shape.length, -1);
  if (start === end) return t;
  const shape = [...t.shape.slice(0, start), product(t.shape.slice(start, end + 1)), ...t.shape.slice(end + 1)];
  return reshape(s, t, shape);
};

const unflattenRule: Rule = (s, args) => {
  const t = tensor(args[0]);
  const d = dimension(args[1], t.shape.length);
  const sizes = inferSizes(numbers(args[2]), t.size(d));
  return reshape(s, t, [...t.shape.slice(0, d), ...sizes, ...t.shape.slice(d + 1)]);
};

const viewRule: Rule = (s, args) => {
  const t = tensor(args[0]);
  const type = elementType(s, args[1]);
  if (type) return s.alias(t, t.shape, t.strides, type);
  return tryView(s, t, numbers(args[1])) ?? reshape(s, t, numbers(args[1]));
};

/** A copy in a memory format, or the tensor itself where it has it. */
function toMemoryFormat(s: Session, t: Tensor, format: unknown): Tensor {
  if (format === 'channels_last' || format === 'channels_last_3d') return isChannelsLast(t) ? t : clone(s, t, channelsLastStrides(t.shape));
  if (format === 'contiguous_format') return contiguous(s, t);
  return t;
}

/** `to`, `_to_copy`, `type_as`: a cast where the type differs, then the memory format that is asked for. */
const toRule: Rule = (s, args, named) => {
  const t = tensor(args[0]);
  const other = args[1];
  const type =
    elementType(s, named.dtype) ??
    (other && typeof other === 'object' && 'type' in other ? other.type : null) ??
    args
      .slice(1)
      .map((a) => (isTypeName(a) ? elementType(s, a) : null))
      .find((a) => a) ??
    t.type;
  return toMemoryFormat(s, castTo(s, t, type), named.memory_format);
};

const TYPE_NAMES = new Set([
  'model',
  'float64',
  'float32',
  'float16',
  'bfloat16',
  'int64',
  'int32',
  'int16',
  'int8',
  'uint8',
  'bool',
  'complex64',
]);
const isTypeName = (value: unknown): value is string => typeof value === 'string' && TYPE_NAMES.has(value);

const cast =
  (type: 'float32' | 'float16' | 'bfloat16' | 'int64' | 'int32' | 'bool' | 'float64'): Rule =>
  (s, args) =>
    castTo(s, tensor(args[0]), type);

const copyToRule: Rule = (s, args, named) => {
  const t = tensor(args[0]);
  const type = elementType(s, named.dtype) ?? t.type;
  return type === t.type ? clone(s, t) : castTo(s, t, type);
};

const cloneRule: Rule = (s, args, named) => {
  const t = tensor(args[0]);
  const format = named.memory_format;
  if (format === 'contiguous_format') return clone(s, t, contiguousStrides(t.shape));
  if (format === 'channels_last') return clone(s, t, channelsLastStrides(t.shape));
  return clone(s, t, likeStrides(t));
};

/**
 * `x.copy_(y)`: y's gradient is x's, cast where needed. Into a view it is the base that gets a history (CopySlices in
 * torch/csrc/autograd/functions/tensor.cpp): a copy of the base's gradient, one of its slice, and zeros for what was there.
 */
const copyRule: Rule = (s, args) => {
  const into = tensor(args[0]);
  const from = tensor(args[1]);
  const { base } = into;
  if (base) {
    s.record('copy_slices', [base, from], [base], [], ([grad], needs) => {
      if (!grad) return [null, null];
      const whole = s.empty(base.shape, grad.type, base.strides);
      const part = s.empty(into.shape, grad.type);
      if (needs[0]) s.empty(into.shape, grad.type);
      return [needs[0] ? whole : null, needs[1] ? castTo(s, sumTo(s, part, from.shape), from.type) : null];
    });
    return into;
  }
  s.record('copy_', [from], [into], [], ([grad]) => [grad ? castTo(s, sumTo(s, grad, from.shape), from.type) : null]);
  return into;
};

const movedimRule: Rule = (s, args) => {
  const t = tensor(args[0]);
  const rank = t.shape.length;
  const from = numbers(args[1]).map((d) => (d < 0 ? d + rank : d));
  const to = numbers(args[2]).map((d) => (d < 0 ? d + rank : d));
  const order = new Array<number>(rank).fill(-1);
  to.forEach((d, i) => {
    order[d] = from[i] as number;
  });
  const rest = t.shape.map((_, i) => i).filter((i) => !from.includes(i));
  return permute(
    s,
    t,
    order.map((d) => (d >= 0 ? d : (rest.shift() as number))),
  );
};

/** `unfold(dimension, size, step)`: overlapping windows as a view; backward sums them into a new tensor. */
const unfoldRule: Rule = (s, args) => {
  const t = tensor(args[0]);
  const d = dimension(args[1], t.shape.length);
  const [size, step] = [number(args[2]), number(args[3])];
  const shape = [...t.shape.map((n, i) => (i === d ? Math.floor((n - size) / step) + 1 : n)), size];
  const strides = [...t.strides.map((n, i) => (i === d ? n * step : n)), t.strides[d] as number];
  const whole = t.shape;
  return viewOf(s, t, shape, strides, 'unfold', (grad) => filled(s, whole, grad));
};

const detachRule: Rule = (s, args) => s.alias(tensor(args[0]));

define({
  view: viewRule,
  _unsafe_view: viewRule,
  reshape: (s, args) => reshape(s, tensor(args[0]), numbers(args[1])),
  view_as: (s, args) => reshape(s, tensor(args[0]), tensor(args[1]).shape),
  reshape_as: (s, args) => reshape(s, tensor(args[0]), tensor(args[1]).shape),
  flatten: flattenRule,
  unflatten: unflattenRule,
  permute: (s, args) => permute(s, tensor(args[0]), numbers(args[1])),
  transpose: (s, args) => transpose(s, tensor(args[0]), number(args[1]), number(args[2])),
  swapaxes: (s, args) => transpose(s, tensor(args[0]), number(args[1]), number(args[2])),
  swapdims: (s, args) => transpose(s, tensor(args[0]), number(args[1]), number(args[2])),
  t: (s, args) => (tensor(args[0]).shape.length < 2 ? tensor(args[0]) : transpose(s, tensor(args[0]), 0, 1)),
  numpy_T: (s, args) =>
    permute(
      s,
      tensor(args[0]),
      tensor(args[0]).shape.map((_, i) => tensor(args[0]).shape.length - 1 - i),
    ),
  mT: (s, args) => transpose(s, tensor(args[0]), -2, -1),
  movedim: movedimRule,
  moveaxis: movedimRule,
  expand: (s, args) => expand(s, tensor(args[0]), numbers(args[1])),
  expand_as: (s, args) => expand(s, tensor(args[0]), tensor(args[1]).shape),
  broadcast_to: (s, args) => expand(s, tensor(args[0]), numbers(args[1])),
  slice: (s, args) => {
    const t = tensor(args[0]);
    return slice(
      s,
      t,
      dimension(args[1], t.shape.length),
      number(args[2], 0),
      number(args[3], Number.MAX_SAFE_INTEGER),
      number(args[4], 1),
    );
  },
  narrow: (s, args) => {
    const t = tensor(args[0]);
    return slice(s, t, dimension(args[1], t.shape.length), number(args[2]), number(args[2]) + number(args[3]));
  },
  select: (s, args) => select(s, tensor(args[0]), dimension(args[1], tensor(args[0]).shape.length)),
  unsqueeze: (s, args) => unsqueeze(s, tensor(args[0]), number(args[1])),
  squeeze: (s, args) => {
    const t = tensor(args[0]);
    return squeeze(s, t, args[1] === undefined ? t.shape.map((_, i) => i) : numbers(args[1]).map((d) => (d < 0 ? d + t.shape.length : d)));
  },
  split: splitRule,
  split_with_sizes: splitRule,
  unsafe_split: splitRule,
  chunk: chunkRule,
  unsafe_chunk: chunkRule,
  tensor_split: tensorSplitRule,
  unbind: unbindRule,
  unfold: unfoldRule,
  detach: detachRule,
  detach_: (_, args) => tensor(args[0]),
  requires_grad_: (s, args) => {
    const t = tensor(args[0]);
    s.makeLeaf(t);
    return t;
  },
  alias: (s, args) => viewOf(s, tensor(args[0]), tensor(args[0]).shape, tensor(args[0]).strides, 'alias', (grad) => grad),
  lift_fresh_copy: (s, args) => clone(s, tensor(args[0])),
  contiguous: (s, args, named) => toMemoryFormat(s, tensor(args[0]), named.memory_format ?? 'contiguous_format'),
  clone: cloneRule,
  copy_: copyRule,
  to: toRule,
  type_as: (s, args) => castTo(s, tensor(args[0]), tensor(args[1]).type),
  _to_copy: copyToRule,
  float: cast('float32'),
  half: cast('float16'),
  bfloat16: cast('bfloat16'),
  long: cast('int64'),
  int: cast('int32'),
  bool: cast('bool'),
  double: cast('float64'),
  meshgrid: (s, args) => {
    const list = tensors(args[0]);
    const shape = list.map((t) => t.elements);
    return list.map((t, i) =>
      expand(
        s,
        reshape(
          s,
          t,
          shape.map((n, j) => (i === j ? n : 1)),
        ),
        shape,
      ),
    );
  },
});
