/** Padding for sliding windows. TensorFlow.js' kernels take "same" and "valid" alone, so other paddings are made by hand. */
import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { TF } from '../value.js';

export interface Window {
  /** Height and width of the window with its dilation. */
  spans: readonly [number, number];
  stride: readonly [number, number];
  /** Padding above and left. */
  before: readonly [number, number];
  /** Height and width of the result. */
  outputs: readonly [number, number];
}

/** The image (N, H, W, C) padded with `fill` as far as the windows reach, and the padding mode that the kernel then needs. */
export function padForWindow(tf: TF, image: Tensor4D, window: Window, fill: number): { padded: Tensor4D; mode: 'same' | 'valid' } {
  const sides = [0, 1].map((axis) => {
    const size = image.shape[axis + 1] as number;
    const [span, stride, before, outputs] = [window.spans, window.stride, window.before, window.outputs].map(
      (pair) => pair[axis] as number,
    ) as [number, number, number, number];
    // What no window reaches needs no padding.
    const after = (outputs - 1) * stride + span - size - before;
    const total = Math.max((Math.ceil(size / stride) - 1) * stride + span - size, 0);
    const same = outputs === Math.ceil(size / stride) && before === Math.floor(total / 2) && after === total - before;
    return { before, after: Math.max(after, 0), same };
  }) as [Side, Side];
  if (sides.every((side) => side.before === 0 && side.after === 0)) return { padded: image, mode: 'valid' };
  if (sides.every((side) => side.same)) return { padded: image, mode: 'same' };
  const paddings: [[number, number], [number, number], [number, number], [number, number]] = [
    [0, 0],
    [sides[0].before, sides[0].after],
    [sides[1].before, sides[1].after],
    [0, 0],
  ];
  return { padded: tf.pad(image, paddings, fill), mode: 'valid' };
}

interface Side {
  before: number;
  after: number;
  same: boolean;
}
