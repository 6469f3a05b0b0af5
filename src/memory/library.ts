/**
 * Memory that libraries take beside tensors. Every constant in one place, with where it is from; a figure that was not
 * measured on the device at hand is an assumption and is spread into low, best and high.
 */
import type { Setup } from '../setup.js';
import { KIB, MIB } from '../units.js';
import type { StepTrace } from './step.js';

/** A quantity known as a range; `high` is meant to be passed at most once in twenty runs. */
export interface Range {
  low: number;
  best: number;
  high: number;
}

/**
 * cuBLAS workspace of one (handle, stream): 4096 * 2 KiB + 16 * 8 KiB, on Hopper and newer 32 MiB
 * (ATen/cuda/CublasHandlePool.cpp). It goes through the caching allocator and stays. cuBLASLt works in the same bytes
 * (TORCH_CUBLASLT_UNIFIED_WORKSPACE, on by default since pytorch#168175; before it had 1 MiB of its own).
 */
export function cublasWorkspaceBytes(capability: number): number {
  return capability >= 90 ? 32 * MIB : 4096 * 2 * KIB + 16 * 8 * KIB;
}

/** Forward runs in the main thread and backward in autograd's own: two handles, two workspaces. */
export function workspaces(capability: number, trace: StepTrace): number[] {
  if (capability === 0 || !trace.multipliesMatrices) return [];
  const bytes = cublasWorkspaceBytes(capability);
  return [bytes, bytes];
}

/**
 * foreach is torch.optim's default on CUDA alone; elsewhere it loops over single tensors. DeepSpeed, which divides by ZeRO,
 * makes Adam its FusedAdam (deepspeed/runtime/engine.py, _configure_basic_optimizer).
 */
export function resolveImplementation(setup: Setup, capability: number): Setup {
  if (setup.optimizerImplementation !== 'default') return setup;
  const deepSpeed = setup.sharding.startsWith('zero') && setup.gpus > setup.tensorParallel;
  if (deepSpeed && /^adamw?$/.test(setup.optimizer)) return { ...setup, optimizerImplementation: 'fused' };
  return { ...setup, optimizerImplementation: capability > 0 ? 'foreach' : 'single' };
}
