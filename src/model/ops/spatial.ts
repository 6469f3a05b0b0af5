/** ATen calls of convolutions and pools over one, two or three dimensions: x is [B, C, ...spatial]. */
import { minus, plus, times } from '../arithmetic.js';
import type { GraphBuilder, Value } from '../builder.js';
import type { Size } from '../graph.js';
import { dropDefaults } from './layers.js';
import { windowCount } from './shapes.js';

export interface Window {
  stride: number[];
  padding: number[];
  dilation: number[];
}

const fill = (count: number, value: number): number[] => new Array<number>(count).fill(value);

/** A window of stride 1 without padding. */
export function plainWindow(dimensions: number): Window {
  return { stride: fill(dimensions, 1), padding: fill(dimensions, 0), dilation: fill(dimensions, 1) };
}

/** Weight [out, C/groups, ...kernel]. */
export function convolve(g: GraphBuilder, x: Value, weight: Value, bias: Value | null, window: Window, groups = 1): Value {
  const { stride, padding, dilation } = window;
  const spatial = x.shape.slice(2);
  const extents = spatial.map((extent, index) =>
    windowCount(extent, Number(weight.shape[index + 2]), stride[index] ?? 1, padding[index] ?? 0, dilation[index] ?? 1),
  );
  const count = spatial.length;
  const defaults = [null, fill(count, 1), fill(count, 0), fill(count, 1), 1];
  const args = dropDefaults([x, weight, bias, stride, padding, dilation, groups], 2, defaults);
  return g.call(`aten.conv${count}d`, args, { shape: [x.shape[0] as Size, weight.shape[0] as Size, ...extents], dtype: x.dtype });
}

/** Weight [C, out/groups, ...kernel]; `extra` is PyTorch's output_padding. */
export function convolveTransposed(
  g: GraphBuilder,
  x: Value,
  weight: Value,
  bias: Value | null,
  window: Window & { extra: number[] },
  groups = 1,
): Value {
  const { stride, padding, dilation, extra } = window;
  const extents = x.shape.slice(2).map((extent, index) => {
    const reach = (dilation[index] ?? 1) * (Number(weight.shape[index + 2]) - 1) + 1;
    return plus(times(minus(extent, 1), stride[index] ?? 1), reach - 2 * (padding[index] ?? 0) + (extra[index] ?? 0));
  });
  const count = extents.length;
  const defaults = [null, fill(count, 1), fill(count, 0), fill(count, 0), 1, fill(count, 1)];
  const args = dropDefaults([x, weight, bias, stride, padding, extra, groups, dilation], 2, defaults);
  const shape = [x.shape[0] as Size, times(weight.shape[1] as Size, groups), ...extents];
  return g.call(`aten.conv_transpose${count}d${count > 1 ? '.input' : ''}`, args, { shape, dtype: x.dtype });
}

/** Max or average over windows. */
export function pool(
  g: GraphBuilder,
  kind: 'max' | 'avg',
  x: Value,
  kernel: number[],
  window: Omit<Window, 'dilation'> & { ceil?: boolean; dilation?: number[] },
): Value {
  const { stride, padding, ceil = false } = window;
  const count = kernel.length;
  const dilation = window.dilation ?? fill(count, 1);
  const extents = x.shape.slice(2).map((extent, index) => {
    const [k, s, p, d] = [kernel[index] ?? 1, stride[index] ?? 1, padding[index] ?? 0, dilation[index] ?? 1];
    const windows = windowCount(extent, k, s, p, d, ceil);
    // A last window that would begin behind the input and its padding in front is none (ATen/native/Pool.h).
    return ceil && typeof extent === 'number' && (Number(windows) - 1) * s >= extent + p ? minus(windows, 1) : windows;
  });
  const full = kind === 'max' ? [x, kernel, stride, padding, dilation, ceil] : [x, kernel, stride, padding, ceil];
  const args = dropDefaults(full, 3, kind === 'max' ? [fill(count, 0), fill(count, 1), false] : [fill(count, 0), false]);
  return g.call(`aten.${kind}_pool${count}d`, args, { shape: [...x.shape.slice(0, 2), ...extents], dtype: x.dtype });
}
