/**
 * What a convolution on tensor cores needs for itself. They read the channels of a pixel side by side; what lies the other
 * way is transposed into the workspace first, and the result out of it (NVIDIA, Deep Learning Performance: Convolutional
 * Layers User's Guide, "Tensor Layouts In Memory": "NCHW layouts can still be operated on by Tensor Cores, but include some
 * overhead due to automatic transpose operations"). The workspace goes through PyTorch's allocator for the length of the call.
 */
import type { Session } from '../session.js';
import type { Tensor } from '../tensor.js';

/** Compute capabilities (times ten) of data-centre parts, whose tensor cores beat their float32 units also in TF32. */
export const TF32_PAYS = [80, 90, 100, 103];

/** Whether cuDNN runs convolutions of this type on tensor cores; TF32 is allowed there by default, for products it is not. */
function onTensorCores({ type }: Tensor, capability: number): boolean {
  if (type === 'float16') return capability >= 70;
  if (type === 'bfloat16') return capability >= 80;
  return type === 'float32' && TF32_PAYS.includes(capability);
}

/** Makes the workspace of a call, which the enclosing operator frees: copies of `tensors` in the other layout. */
export function transposingWorkspace(s: Session, tensors: readonly Tensor[], groups: number, channelsLast: boolean): void {
  const [input] = tensors as [Tensor];
  // PyTorch's dispatcher sees no workspace, and its own kernels and SIMT ones for grouped convolutions need none.
  if (s.options.outOfPlaceSums || channelsLast || groups > 1 || input.shape.length < 4) return;
  if (!onTensorCores(input, s.options.capability)) return;
  const bytes = tensors.reduce((sum, t) => sum + t.bytes, 0);
  s.scratch(bytes);
}
