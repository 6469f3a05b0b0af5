/** Pooling and resampling: the input is kept for its size, max-pooling keeps int64 indices as well. */
import { callOne, define, type Rule } from '../registry.js';
import type { Session } from '../session.js';
import { channelsLastStrides, contiguousStrides, suggestsChannelsLast, type Tensor } from '../tensor.js';
import { flag, number, numbers, pair, tensor } from './arguments.js';
import { clone, elementwise, permute, reshape } from './core.js';
import { squeeze, unsqueeze } from './views.js';

function sized(s: Session, like: Tensor, shape: readonly number[], type = like.type): Tensor {
  return s.empty(shape, type, suggestsChannelsLast(like) ? channelsLastStrides(shape) : contiguousStrides(shape));
}

/** Windows along one dimension. */
export function pooled(size: number, kernel: number, stride: number, padding: number, dilation: number, ceil: boolean): number {
  const span = size + 2 * padding - dilation * (kernel - 1) - 1;
  const out = (ceil ? Math.ceil(span / stride) : Math.floor(span / stride)) + 1;
  return ceil && (out - 1) * stride >= size + padding ? out - 1 : out;
}

function poolShape(
  x: Tensor,
  kernel: [number, number],
  stride: [number, number],
  padding: [number, number],
  dilation: [number, number],
  ceil: boolean,
): number[] {
  const [h, w] = [x.size(-2), x.size(-1)];
  return [
    ...x.shape.slice(0, -2),
    pooled(h, kernel[0], stride[0], padding[0], dilation[0], ceil),
    pooled(w, kernel[1], stride[1], padding[1], dilation[1], ceil),
  ];
}

function strideOf(value: Parameters<typeof pair>[0], kernel: [number, number]): [number, number] {
  return (Array.isArray(value) && value.length === 0) || value === null || value === undefined ? kernel : pair(value, 1);
}

const maxPool2d: Rule = (s, args) => {
  const x = tensor(args[0]);
  const kernel = pair(args[1], 1);
  const shape = poolShape(x, kernel, strideOf(args[2], kernel), pair(args[3], 0), pair(args[4], 1), flag(args[5]));
  const out = sized(s, x, shape);
  const indices = sized(s, x, shape, 'int64');
  s.record('max_pool2d_with_indices', [x], [out], [x, indices], ([grad]) => [grad ? sized(s, x, x.shape) : null]);
  return [out, indices];
};

const avgPool2d: Rule = (s, args) => {
  const x = tensor(args[0]);
  const kernel = pair(args[1], 1);
  const shape = poolShape(x, kernel, strideOf(args[2], kernel), pair(args[3], 0), [1, 1], flag(args[4]));
  const out = sized(s, x, shape);
  s.record('avg_pool2d', [x], [out], [x], ([grad]) => [grad ? sized(s, x, x.shape) : null]);
  return out;
};

/** One-dimensional pooling goes through the two-dimensional kernel with a height of one. */
function oneDimensional(rule: Rule): Rule {
  return (s, args, named) => {
    const x = unsqueeze(s, tensor(args[0]), -2);
    const wide = args.slice(1).map((v, i) => (Array.isArray(v) && v.length === 1 ? [i === 2 ? 0 : 1, v[0] as number] : v));
    const out = rule(s, [x, ...wide], named);
    return squeeze(s, (Array.isArray(out) ? out[0] : out) as Tensor, [(Array.isArray(out) ? (out[0] as Tensor) : out).shape.length - 2]);
  };
}

const adaptiveAvgPool2d: Rule = (s, args) => {
  const x = tensor(args[0]);
  const [h, w] = pair(args[1], 1);
  if (h === 1 && w === 1) return callOne(s, 'mean.dim', [x, [-1, -2], true]);
  const out = sized(s, x, [...x.shape.slice(0, -2), h, w]);
  s.record('_adaptive_avg_pool2d', [x], [out], [x], ([grad]) => [grad ? sized(s, x, x.shape) : null]);
  return out;
};

const adaptiveAvgPool1d: Rule = (s, args) => {
  const out = adaptiveAvgPool2d(s, [unsqueeze(s, tensor(args[0]), -2), [1, ...numbers(args[1])]], {}) as Tensor;
  return squeeze(s, out, [out.shape.length - 2]);
};

const adaptiveMaxPool2d: Rule = (s, args) => {
  const x = tensor(args[0]);
  const shape = [...x.shape.slice(0, -2), ...pair(args[1], 1)];
  const out = sized(s, x, shape);
  const indices = sized(s, x, shape, 'int64');
  s.record('adaptive_max_pool2d', [x], [out], [x, indices], ([grad]) => [grad ? sized(s, x, x.shape) : null]);
  return [out, indices];
};

/** Interpolation by size or by scale; backward needs only the sizes. */
const upsample: Rule = (s, args) => {
  const x = tensor(args[0]);
  const spatial = x.shape.length - 2;
  const bySize = Array.isArray(args[1]) ? numbers(args[1]) : null;
  const scales = numbers(
    args
      .slice(2)
      .reverse()
      .find((v) => Array.isArray(v)) ?? null,
    [],
  );
  const shape = [
    ...x.shape.slice(0, 2),
    ...Array.from({ length: spatial }, (_, i) => bySize?.[i] ?? Math.floor((x.shape[2 + i] as number) * (scales[i] ?? 1))),
  ];
  const out = sized(s, x, shape);
  s.record('upsample', [x], [out], [], ([grad]) => [grad ? sized(s, grad, x.shape) : null]);
  return out;
};

/** pixel_shuffle: reshape, permute and a copy; its gradient goes the other way. */
function shuffle(s: Session, x: Tensor, factor: number, up: boolean): Tensor {
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const split = up ? [n, c / factor ** 2, factor, factor, h, w] : [n, c, h / factor, factor, w / factor, factor];
  const order = up ? [0, 1, 4, 2, 5, 3] : [0, 1, 3, 5, 2, 4];
  const shape = up ? [n, c / factor ** 2, h * factor, w * factor] : [n, c * factor ** 2, h / factor, w / factor];
  const out = s.withoutGradients(() =>
    reshape(s, clone(s, permute(s, reshape(s, x, split), order), contiguousStrides(order.map((d) => split[d] as number))), shape),
  );
  s.record('pixel_shuffle', [x], [out], [], ([grad]) => [grad ? shuffle(s, grad, factor, !up) : null]);
  return out;
}

/** im2col (unfold): columns of patches; backward folds them. */
const im2col: Rule = (s, args) => {
  const x = tensor(args[0]);
  const [kernel, dilation, padding, stride] = [pair(args[1], 1), pair(args[2], 1), pair(args[3], 0), pair(args[4], 1)];
  const rows = pooled(x.size(-2), kernel[0], stride[0], padding[0], dilation[0], false);
  const columns = pooled(x.size(-1), kernel[1], stride[1], padding[1], dilation[1], false);
  const out = s.empty([x.size(0), x.size(1) * kernel[0] * kernel[1], rows * columns], x.type);
  s.record('im2col', [x], [out], [], ([grad]) => [grad ? s.empty(x.shape, x.type) : null]);
  return out;
};

const col2im: Rule = (s, args) => {
  const x = tensor(args[0]);
  const [h, w] = pair(args[1], 1);
  const kernel = pair(args[2], 1);
  const out = s.empty([x.size(0), x.size(1) / (kernel[0] * kernel[1]), h, w], x.type);
  s.record('col2im', [x], [out], [], ([grad]) => [grad ? s.empty(x.shape, x.type) : null]);
  return out;
};

const gridSampler: Rule = (s, args) => {
  const [x, grid] = [tensor(args[0]), tensor(args[1])];
  const out = s.empty([x.size(0), x.size(1), grid.size(1), grid.size(2)], x.type);
  s.record('grid_sampler_2d', [x, grid], [out], [x, grid], ([grad], needs) => [
    grad && needs[0] ? s.empty(x.shape, x.type) : null,
    grad ? elementwise(s, [grid]) : null,
  ]);
  return out;
};

const first =
  (rule: Rule): Rule =>
  (s, args, named) =>
    (rule(s, args, named) as Tensor[])[0] as Tensor;

define({
  max_pool2d: first(maxPool2d),
  max_pool2d_with_indices: maxPool2d,
  max_pool1d: oneDimensional(maxPool2d),
  avg_pool2d: avgPool2d,
  avg_pool1d: oneDimensional(avgPool2d),
  adaptive_avg_pool2d: adaptiveAvgPool2d,
  adaptive_avg_pool1d: adaptiveAvgPool1d,
  adaptive_max_pool2d: adaptiveMaxPool2d,
  upsample_nearest2d: upsample,
  upsample_nearest1d: upsample,
  upsample_bilinear2d: upsample,
  upsample_bicubic2d: upsample,
  _upsample_bilinear2d_aa: upsample,
  _upsample_bicubic2d_aa: upsample,
  upsample_linear1d: upsample,
  upsample_trilinear3d: upsample,
  upsample_nearest3d: upsample,
  pixel_shuffle: (s, args) => shuffle(s, tensor(args[0]), number(args[1]), true),
  pixel_unshuffle: (s, args) => shuffle(s, tensor(args[0]), number(args[1]), false),
  im2col,
  col2im,
  grid_sampler: gridSampler,
  grid_sampler_2d: gridSampler,
});
