/**
 * What a convolution needs for itself: cuDNN asks for it with each call, and it goes through PyTorch's allocator for as long
 * as the call runs.
 *
 * Tensor cores read the channels of a pixel side by side; what lies the other way is transposed into the workspace first, and
 * the result out of it (NVIDIA, Deep Learning Performance: Convolutional Layers User's Guide, "Tensor Layouts In Memory":
 * "NCHW layouts can still be operated on by Tensor Cores, but include some overhead due to automatic transpose operations";
 * pytorch/pytorch#81940 shows nchwToNhwcKernel around an implicit product in TF32 on an A100).
 *
 * Where cuDNN picks by speed, the gradient of a 3x3 weight is computed by Winograd's algorithm. For results and gradients of
 * inputs that has kernels that keep the transformed data to themselves, for gradients of weights none
 * (CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD is not implemented, ATen/native/cudnn/Conv_v7.cpp): they lie in the workspace.
 */
import type { Session } from '../session.js';
import type { Tensor } from '../tensor.js';

/** Compute capabilities (times ten) of data-centre parts, whose tensor cores beat their float32 units also in TF32. */
export const TF32_PAYS = [80, 90, 100, 103];

/** Winograd's F(4x4, 3x3): what 16 values of a plane become, in float32. */
export const WINOGRAD_OUTPUT = 4;
const WINOGRAD_BYTES = 4 * 6 * 6;

export interface Call {
  /** Input, weight, and the result or its gradient. */
  tensors: readonly [Tensor, Tensor, Tensor];
  stride: readonly number[];
  dilation: readonly number[];
  transposed: boolean;
  groups: number;
  channelsLast: boolean;
}

/**
 * Bytes of Winograd's algorithm in steps of their own: the input, the output and the weight, transformed. cuDNN 7.5 says the
 * same to the byte for all 36 of its calls in Slimakanzer/cudnn-benchmark@652d8e0 (out_example.txt).
 */
export function winogradBytes(tiles: number, channelsIn: number, channelsOut: number): number {
  return WINOGRAD_BYTES * (tiles * (channelsIn + channelsOut) + channelsIn * channelsOut);
}

/** Whether cuDNN runs convolutions of this type on tensor cores; TF32 is allowed there by default, for products it is not. */
function onTensorCores({ type }: Tensor, capability: number): boolean {
  if (type === 'float16') return capability >= 70;
  if (type === 'bfloat16') return capability >= 80;
  return type === 'float32' && TF32_PAYS.includes(capability);
}

/** Copies of the tensors in the other layout. */
function transposedBytes({ tensors }: Call, capability: number): number {
  return onTensorCores(tensors[0], capability) ? tensors.reduce((sum, t) => sum + t.bytes, 0) : 0;
}

/** The transformed tensors where Winograd's algorithm knows the convolution; in low precision tensor cores are faster. */
function transformedBytes({ tensors: [input, weight, output], stride, dilation, transposed }: Call): number {
  const [channelsOut, channelsIn, ...taps] = weight.shape as [number, number, ...number[]];
  const [batch, , ...plane] = output.shape as [number, number, ...number[]];
  const isKnown = taps.length === 2 && taps.every((t) => t === 3) && [...stride, ...dilation].every((step) => step === 1);
  if (!isKnown || transposed || input.type !== 'float32') return 0;
  const tiles = plane.reduce((count, size) => count * Math.ceil(size / WINOGRAD_OUTPUT), batch);
  return winogradBytes(tiles, channelsIn, channelsOut);
}

/** PyTorch's dispatcher sees no workspace, and its own kernels and SIMT ones for grouped convolutions need none. */
function needsNone(s: Session, { tensors: [input], groups, channelsLast }: Call): boolean {
  return s.options.outOfPlaceSums || s.options.capability === 0 || channelsLast || groups > 1 || input.shape.length < 4;
}

/** Makes the workspace of a call, which the enclosing operator frees. */
export function workspace(s: Session, call: Call): void {
  if (!needsNone(s, call)) s.scratch(transposedBytes(call, s.options.capability));
}

/** The same for the gradients of the input and, where `benchmark` picked by speed, of the weight. */
export function gradientWorkspace(s: Session, call: Call, weightBySpeed: boolean): void {
  if (needsNone(s, call)) return;
  s.scratch(Math.max(transposedBytes(call, s.options.capability), weightBySpeed ? transformedBytes(call) : 0));
}
