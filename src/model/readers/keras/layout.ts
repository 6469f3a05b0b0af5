/**
 * Keras keeps channels last, ATen's convolutions and pools speak of channels first. A permute is a view: the image stays
 * as it lies in memory, and a convolution of such a view gives another one, so that nothing is copied.
 */
import type { GraphBuilder, Value } from '../../builder.js';
import { pad, permute } from '../../ops/views.js';
import type { Fields } from './fields.js';

export type DataFormat = 'channels_last' | 'channels_first';

export function dataFormat(fields: Fields): DataFormat {
  return fields.text('data_format', ['channels_last', 'channels_first'], 'channels_last') as DataFormat;
}

/** Index of the channels. */
export function channelAxis(x: Value, format: DataFormat): number {
  return format === 'channels_last' ? x.shape.length - 1 : 1;
}

/** Indices of height and width, or of what else lies between batch and channels. */
export function spatialAxes(x: Value, format: DataFormat): number[] {
  return Array.from({ length: x.shape.length - 2 }, (_, index) => index + (format === 'channels_last' ? 1 : 2));
}

/** Runs `body` on [B, C, ...spatial], and brings its result back into the layer's own order. */
export function channelsFirst(g: GraphBuilder, x: Value, axis: number, body: (x: Value) => Value): Value {
  if (axis === 1) return body(x);
  const others = x.shape.map((_, index) => index).filter((index) => index !== 0 && index !== axis);
  const result = body(permute(g, x, [0, axis, ...others]));
  const back = x.shape.map((_, index) => (index === axis ? 1 : index === 0 ? 0 : others.indexOf(index) + 2));
  return permute(g, result, back);
}

export interface Padding {
  /** The input, padded where the window itself can't do it. */
  x: Value;
  padding: number[];
  /** Whether the last window may reach over the end. */
  ceil: boolean;
}

/**
 * How a window goes over `x` [B, C, ...spatial]. TensorFlow's "same" gives ceil(extent / stride) windows: where padding both
 * sides alike gives as many, or for pools rounding up does, that stands for it, as kernels pad while they read.
 */
export function padWindow(
  g: GraphBuilder,
  x: Value,
  kernel: number[],
  window: { stride: number[]; dilation: number[] },
  mode: string,
  pools = false,
): Padding {
  if (mode === 'valid') return { x, padding: kernel.map(() => 0), ceil: false };
  const sides = kernel.map((taps, index) => {
    const [size, stride] = [Number(x.shape[index + 2]), window.stride[index] ?? 1];
    const span = (window.dilation[index] ?? 1) * (taps - 1) + 1;
    const outputs = Math.ceil(size / stride);
    const total = Math.max((outputs - 1) * stride + span - size, 0);
    return { size, stride, span, outputs, before: Math.floor(total / 2), after: Math.ceil(total / 2) };
  });
  for (const round of pools ? [Math.floor, Math.ceil] : [Math.floor]) {
    const padding = sides.map(({ size, stride, span, outputs, before, after }) =>
      [before, after].find((edge) => round((size + 2 * edge - span) / stride) + 1 === outputs),
    );
    if (padding.every((edge) => edge !== undefined)) return { x, padding, ceil: round === Math.ceil };
  }
  const amounts = lastFirst(sides.map(({ before, after }) => [before, after]));
  return { x: pad(g, x, amounts), padding: kernel.map(() => 0), ceil: false };
}

/** Pairs of the last dimension first, as aten.pad takes them. */
export function lastFirst(pairs: readonly (readonly number[])[]): number[] {
  return [...pairs].reverse().flat();
}
