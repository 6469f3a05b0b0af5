/** Pooling of volumes [N, C, D, H, W], and the adaptive maximum of one dimension. */
import { callOne, define, type Rule, type Value } from '../registry.js';
import type { Tensor } from '../tensor.js';
import { flag, numbers, tensor } from './arguments.js';
import { pooled } from './pooling.js';
import { squeeze, unsqueeze } from './views.js';

type Triple = [number, number, number];

const triple = (value: Value | undefined, fallback: number): Triple => {
  const list = numbers(value, [fallback]);
  const first = list[0] ?? fallback;
  return [first, list[1] ?? first, list[2] ?? first];
};

/** Strides default to the window where the list is empty. */
const strideOf = (value: Value | undefined, kernel: Triple): Triple =>
  value === null || value === undefined || (Array.isArray(value) && value.length === 0) ? kernel : triple(value, 1);

function windowed(x: Tensor, kernel: Triple, stride: Triple, padding: Triple, dilation: Triple, ceil: boolean): number[] {
  const lead = x.shape.length - 3;
  const size = (i: 0 | 1 | 2): number => pooled(x.shape[lead + i] as number, kernel[i], stride[i], padding[i], dilation[i], ceil);
  return [...x.shape.slice(0, lead), size(0), size(1), size(2)];
}

/** Keeps its input and int64 indices, as in two dimensions. */
const maxPool3d: Rule = (s, args) => {
  const x = tensor(args[0]);
  const kernel = triple(args[1], 1);
  const shape = windowed(x, kernel, strideOf(args[2], kernel), triple(args[3], 0), triple(args[4], 1), flag(args[5]));
  const out = s.empty(shape, x.type);
  const indices = s.empty(shape, 'int64');
  s.record('max_pool3d_with_indices', [x], [out], [x, indices], ([grad]) => [grad ? s.empty(x.shape, x.type) : null]);
  return [out, indices];
};

const avgPool3d: Rule = (s, args) => {
  const x = tensor(args[0]);
  const kernel = triple(args[1], 1);
  const out = s.empty(windowed(x, kernel, strideOf(args[2], kernel), triple(args[3], 0), [1, 1, 1], flag(args[4])), x.type);
  s.record('avg_pool3d', [x], [out], [x], ([grad]) => [grad ? s.empty(x.shape, x.type) : null]);
  return out;
};

const adaptiveAvgPool3d: Rule = (s, args) => {
  const x = tensor(args[0]);
  const size = triple(args[1], 1);
  if (size.every((n) => n === 1)) return callOne(s, 'mean.dim', [x, [-1, -2, -3], true]);
  const out = s.empty([...x.shape.slice(0, -3), ...size], x.type);
  s.record('_adaptive_avg_pool3d', [x], [out], [x], ([grad]) => [grad ? s.empty(x.shape, x.type) : null]);
  return out;
};

const adaptiveMaxPool3d: Rule = (s, args) => {
  const x = tensor(args[0]);
  const shape = [...x.shape.slice(0, -3), ...triple(args[1], 1)];
  const out = s.empty(shape, x.type);
  const indices = s.empty(shape, 'int64');
  s.record('adaptive_max_pool3d', [x], [out], [x, indices], ([grad]) => [grad ? s.empty(x.shape, x.type) : null]);
  return [out, indices];
};

/** Through the two-dimensional kernel with a height of one. */
const adaptiveMaxPool1d: Rule = (s, args) => {
  const wide = unsqueeze(s, tensor(args[0]), -2);
  const out = wide.shape.slice(0, -1).concat(numbers(args[1]));
  const values = s.empty(out, wide.type);
  const indices = s.empty(out, 'int64');
  s.record('adaptive_max_pool2d', [wide], [values], [wide, indices], ([grad]) => [grad ? s.empty(wide.shape, wide.type) : null]);
  return [values, indices].map((t) => squeeze(s, t, [out.length - 2]));
};

define({
  max_pool3d: (s, args, named) => (maxPool3d(s, args, named) as Tensor[])[0] as Tensor,
  max_pool3d_with_indices: maxPool3d,
  avg_pool3d: avgPool3d,
  adaptive_avg_pool3d: adaptiveAvgPool3d,
  adaptive_max_pool3d: adaptiveMaxPool3d,
  adaptive_max_pool1d: adaptiveMaxPool1d,
});
