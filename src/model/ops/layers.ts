/** ATen calls of layers with weights, of pools, attention and losses, as PyTorch's own modules make them. */
import { floorDivide } from '../arithmetic.js';
import { type CallArgument, type GraphBuilder, sizes, type Value } from '../builder.js';
import type { DType, Size } from '../graph.js';
import { type Pair, pair, windowCount } from './shapes.js';

export interface ConvOptions {
  stride?: Pair;
  padding?: Pair;
  dilation?: Pair;
  groups?: number;
}

/** nn.Conv2d: x [B, C, H, W], weight [out, C/groups, kh, kw]; trailing default arguments are left out. */
export function conv2d(g: GraphBuilder, x: Value, weight: Value, bias: Value | null, options: ConvOptions = {}): Value {
  const [stride, padding, dilation] = [pair(options.stride ?? 1), pair(options.padding ?? 0), pair(options.dilation ?? 1)];
  const [batch, , height, width] = x.shape as [Size, Size, Size, Size];
  const [out, , kernelHeight, kernelWidth] = weight.shape as [number, number, number, number];
  const shape = [
    batch,
    out,
    windowCount(height, kernelHeight, stride[0], padding[0], dilation[0]),
    windowCount(width, kernelWidth, stride[1], padding[1], dilation[1]),
  ];
  const args = dropDefaults([x, weight, bias, stride, padding, dilation, options.groups ?? 1], 2, [null, [1, 1], [0, 0], [1, 1], 1]);
  return g.call('aten.conv2d', args, { shape, dtype: x.dtype });
}

/** F.linear: x [..., in], weight [out, in]. */
export function linear(g: GraphBuilder, x: Value, weight: Value, bias: Value | null = null): Value {
  const shape = [...x.shape.slice(0, -1), weight.shape[0] as Size];
  return g.call('aten.linear', bias ? [x, weight, bias] : [x, weight], { shape, dtype: x.dtype });
}

/** nn.BatchNorm in training: updates the running statistics in place. */
export function batchNorm(g: GraphBuilder, x: Value, parts: BatchNormParts, momentum = 0.1, eps = 1e-5): Value {
  const { weight, bias, mean, variance } = parts;
  // The last argument is torch.backends.cudnn.enabled.
  return g.call('aten.batch_norm', [x, weight, bias, mean, variance, true, momentum, eps, true], x);
}

export interface BatchNormParts {
  weight: Value | null;
  bias: Value | null;
  mean: Value;
  variance: Value;
}

/** F.layer_norm over the last dimensions. */
export function layerNorm(g: GraphBuilder, x: Value, shape: number[], weight: Value | null, bias: Value | null, eps = 1e-5): Value {
  return g.call('aten.layer_norm', [x, shape, weight, bias, eps], x);
}

export function groupNorm(g: GraphBuilder, x: Value, groups: number, weight: Value, bias: Value, eps = 1e-5): Value {
  return g.call('aten.group_norm', [x, groups, weight, bias, eps], x);
}

/** Rows of `weight` [count, features]; `padding` is nn.Embedding's padding_idx. */
export function embedding(g: GraphBuilder, weight: Value, indices: Value, padding = -1): Value {
  const shape = [...indices.shape, weight.shape[1] as Size];
  return g.call('aten.embedding', padding < 0 ? [weight, indices] : [weight, indices, padding], { shape, dtype: weight.dtype });
}

export function matmul(g: GraphBuilder, a: Value, b: Value): Value {
  return g.call('aten.matmul', [a, b], { shape: [...a.shape.slice(0, -1), b.shape.at(-1) as Size], dtype: a.dtype });
}

export interface AttentionOptions {
  mask?: Value | null;
  dropout?: number;
  causal?: boolean;
  scale?: number | undefined;
  groupedHeads?: boolean;
}

/** F.scaled_dot_product_attention: q [B, heads, L, E], k and v [B, heads, S, E]. */
export function attention(g: GraphBuilder, q: Value, k: Value, v: Value, options: AttentionOptions = {}): Value {
  const args: CallArgument[] = dropDefaults([q, k, v, options.mask ?? null, options.dropout ?? 0, options.causal ?? false], 3, [
    null,
    0,
    false,
  ]);
  const kwargs = {
    ...(options.scale === undefined ? {} : { scale: options.scale }),
    ...(options.groupedHeads ? { enable_gqa: true } : {}),
  };
  const shape = [...q.shape.slice(0, -1), v.shape.at(-1) as Size];
  return g.call('aten.scaled_dot_product_attention', args, { shape, dtype: q.dtype }, Object.keys(kwargs).length > 0 ? kwargs : undefined);
}

/** max_pool2d or avg_pool2d. */
export function pool2d(g: GraphBuilder, op: 'max' | 'avg', x: Value, kernel: Pair, stride: Pair, padding: Pair = 0, ceil = false): Value {
  const [size, step, edge] = [pair(kernel), pair(stride), pair(padding)];
  const [batch, channels, height, width] = x.shape as [Size, Size, Size, Size];
  const shape = [
    batch,
    channels,
    windowCount(height, size[0], step[0], edge[0], 1, ceil),
    windowCount(width, size[1], step[1], edge[1], 1, ceil),
  ];
  const full = op === 'max' ? [x, size, step, edge, [1, 1], ceil] : [x, size, step, edge, ceil];
  const args = dropDefaults(full, 3, op === 'max' ? [[0, 0], [1, 1], false] : [[0, 0], false]);
  return g.call(`aten.${op}_pool2d`, args, { shape, dtype: x.dtype });
}

/** Pooling to a fixed output size. */
export function adaptivePool2d(g: GraphBuilder, op: 'avg', x: Value, output: Pair): Value {
  const extents = pair(output);
  return g.call(`aten.adaptive_${op}_pool2d`, [x, extents], { shape: [...x.shape.slice(0, 2), ...extents], dtype: x.dtype });
}

/** F.cross_entropy with mean reduction: logits [N, C, ...], int64 targets [N, ...]. */
export function crossEntropy(g: GraphBuilder, logits: Value, targets: Value): Value {
  return g.call('aten.cross_entropy_loss', [logits, targets], { shape: [], dtype: logits.dtype });
}

/** [0, 1, .. end) as int64. */
export function arange(g: GraphBuilder, end: Size): Value {
  return g.call('aten.arange', sizes([end]), { shape: [end], dtype: 'int64' });
}

/** A tensor filled by a factory: zeros, ones. Without a dtype it has torch's default, that of the weights. */
export function filled(g: GraphBuilder, op: 'aten.zeros' | 'aten.ones', shape: Size[], dtype: DType | null): Value {
  return g.call(op, [sizes(shape)], { shape, dtype: dtype ?? 'float32' }, dtype ? { dtype } : undefined);
}

/** Heads of a projection: [..., width] has width // headSize of them. */
export function headCount(width: Size, headSize: number): Size {
  return floorDivide(width, headSize);
}

/** The arguments without the trailing ones that equal the schema's defaults, which begin at `from`. */
export function dropDefaults(args: readonly CallArgument[], from: number, defaults: readonly CallArgument[]): CallArgument[] {
  let end = args.length;
  while (end > from && JSON.stringify(args[end - 1]) === JSON.stringify(defaults[end - 1 - from])) end--;
  return args.slice(0, end);
}
