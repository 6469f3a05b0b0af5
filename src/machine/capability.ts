/** What a device can compute, as a number that code can compare. */
import type { TargetDevice } from './machine.js';

/** Compute capability "8.6" as 86; AMD's stand with the newest they have kernels of; 0 where the device runs no CUDA kernels. */
export function capabilityOf({ kind, computeCapability }: Pick<TargetDevice, 'kind' | 'computeCapability'>): number {
  if (kind === 'rocm') return 90;
  if (kind !== 'cuda') return 0;
  const [major, minor] = (computeCapability ?? '8.0').split('.').map(Number);
  return (major ?? 8) * 10 + (minor ?? 0);
}
