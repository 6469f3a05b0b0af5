/** What decides how fast a kernel runs: its class, and the sizes that its efficiency depends on. */
import type { Kernel } from '../trace/index.js';

/**
 * Kernels that share an efficiency. The first group computes on matrix units, depthwise convolutions on vector units;
 * all others move bytes.
 */
export type KernelClass =
  | 'convolution'
  | 'groupedConvolution'
  | 'packedGroupedConvolution'
  | 'fallbackGroupedConvolution'
  | 'depthwiseConvolution'
  | 'largeDepthwiseConvolution'
  | 'matmul'
  | 'batchedMatmul'
  | 'attention'
  | 'batchNorm'
  | 'layerNorm'
  | 'groupNorm'
  | 'softmax'
  | 'streaming'
  | 'joining'
  | 'reordering'
  | 'reduction'
  | 'pooling'
  | 'indexing';

/** Half-precision types, which matrix units of every generation take. */
export const isHalf = (kernel: Pick<Kernel, 'type'>): boolean => kernel.type === 'float16' || kernel.type === 'bfloat16';

export function classOf(kernel: Kernel): KernelClass {
  switch (kernel.kind) {
    case 'convolution':
      return convolutionClass(kernel);
    case 'matmul':
      return kernel.product && kernel.product.groups > 1 ? 'batchedMatmul' : 'matmul';
    case 'attention':
      return 'attention';
    case 'normalization':
      return kernel.name.includes('group') ? 'groupNorm' : kernel.name.includes('batch') ? 'batchNorm' : 'layerNorm';
    case 'copy':
      return kernel.reorders ? 'reordering' : JOINS.has(kernel.name) ? 'joining' : 'streaming';
    case 'softmax':
    case 'reduction':
    case 'pooling':
      return kernel.kind;
    case 'indexing':
    case 'embedding':
      return 'indexing';
    default:
      return 'streaming';
  }
}

const JOINS = new Set(['cat', 'concat', 'stack', 'slice', 'select', 'split', 'unbind', 'pad', 'constant_pad_nd', 'reflection_pad']);

/** Widths that cuDNN's grouped kernels for channels-last tensors are written for, and the groups that there are at least. */
const PACKED_WIDTHS = new Set([4, 8, 16, 32]);
const PACKED_GROUPS = 32;

/** Channels of one group on either side of a convolution. */
export function groupWidths(kernel: Kernel): [number, number] {
  const { product, convolution } = kernel;
  if (!product || !convolution) return [1, 1];
  const [a, b] = convolution.part === 'weight-gradient' ? [product.rows, product.columns] : [product.columns, product.inner];
  return [a, b / Math.max(convolution.taps, 1)];
}

/** Depthwise filters that libraries have kernels for: 5x5 on planar tensors, 7x7 on channels-last ones. */
const LARGEST_PLANAR_TAPS = 25;
const LARGEST_TAPS = 49;

function convolutionClass(kernel: Kernel): KernelClass {
  const groups = kernel.product?.groups ?? 1;
  if (groups === 1) return 'convolution';
  const [a, b] = groupWidths(kernel);
  const channelsLast = kernel.convolution?.channelsLast ?? false;
  if (Math.min(a, b) <= 1) {
    const largest = channelsLast ? LARGEST_TAPS : LARGEST_PLANAR_TAPS;
    return (kernel.convolution?.taps ?? 0) > largest ? 'largeDepthwiseConvolution' : 'depthwiseConvolution';
  }
  if (!channelsLast || !isHalf(kernel)) return 'groupedConvolution';
  return PACKED_WIDTHS.has(a) && PACKED_WIDTHS.has(b) && groups >= PACKED_GROUPS
    ? 'packedGroupedConvolution'
    : 'fallbackGroupedConvolution';
}
