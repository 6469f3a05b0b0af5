/**
 * What a process takes on a device before and beside its allocator: the driver's context and the libraries' code.
 * Figures of others' machines are assumptions, spread into low, best and high.
 */
import { capabilityOf } from '../../machine/capability.js';
import type { TargetDevice } from '../../machine/machine.js';
import { type Bytes, MIB } from '../../units.js';
import type { Range } from '../library.js';

/** When the driver copies kernels to the device: as they are first used, or all of a library's at once. */
export type ModuleLoading = 'lazy' | 'eager';

/**
 * A bare context grows with the number of multiprocessors: 107 MiB on an RTX 4060 Ti (34), 555 MiB on an RTX PRO 6000
 * (188; both ggml-org/llama.cpp pull 23604), 256 MiB on an RTX 3090 (82; invoke-ai/InvokeAI issue 9413, which lies on the
 * line of the other two).
 */
const CONTEXT_BYTES = 8 * MIB;
const CONTEXT_BYTES_PER_MULTIPROCESSOR = 2.91 * MIB;
/** How far single reports lie from that line. */
const CONTEXT_SPREAD = 0.15;
/** An RTX 3080's, where a device does not say. */
const USUAL_MULTIPROCESSORS = 68;

/**
 * Kernels that training itself loads, since PyTorch 1.13 asks for lazy loading (pytorch pull 86509). xMem's readings on an
 * RTX 3060 and 4060 start when the context exists, and end within tens of MiB of what the allocator reserved.
 */
const LAZY_MODULES: Range = { low: 0, best: 20 * MIB, high: 120 * MIB };

/**
 * All kernels of PyTorch, as CUDA before 11.7 and PyTorch before 1.13 load them, over the bare context: 1343 MB in all on a
 * V100 (transformers' page on training with one GPU), 1451 MiB on an A100 (networks without a weight in
 * itu-rad/GPUMemNet, cnn_data_step1.csv); 1687 MiB on an RTX 3090 (pytorch issue 55277; 1488 MiB a release before, 49877).
 */
const EAGER_MODULES = 1130 * MIB;
const EAGER_MODULES_SINCE_8_6 = 1440 * MIB;
/** cuDNN's own, once it is used: small convolutional networks that train read 250 MiB more on that A100 (fake_tensor.xlsx). */
const EAGER_CUDNN = 250 * MIB;
const EAGER_SPREAD = 250 * MIB;

/** What decides a process' context. */
export interface Process {
  target: Pick<TargetDevice, 'kind' | 'multiprocessors' | 'computeCapability'>;
  loading: ModuleLoading;
  /** Whether it uses cuDNN. */
  convolves: boolean;
}

/** The context and loaded modules of a process on the device; on a CPU the interpreter with PyTorch imported. */
export function contextBytes({ target, loading, convolves }: Process): Range {
  // Off CUDA nothing was read: assumptions.
  if (target.kind === 'cpu') return { low: 150 * MIB, best: 250 * MIB, high: 500 * MIB };
  if (target.kind !== 'cuda') return { low: 200 * MIB, best: 400 * MIB, high: 1000 * MIB };
  const bare = CONTEXT_BYTES + (target.multiprocessors ?? USUAL_MULTIPROCESSORS) * CONTEXT_BYTES_PER_MULTIPROCESSOR;
  const modules = loading === 'eager' ? eagerModules(target, convolves) : LAZY_MODULES;
  return {
    low: Math.round(bare * (1 - CONTEXT_SPREAD) + modules.low),
    best: Math.round(bare + modules.best),
    high: Math.round(bare * (1 + CONTEXT_SPREAD) + modules.high),
  };
}

/** Other models load other kernels: a measured context varies by tens of MiB (an assumption, 5 % downwards). */
export function measuredContext(bytes: Bytes): Range {
  return { low: Math.round(bytes * 0.95), best: bytes, high: Math.round(bytes + LAZY_MODULES.high / 2) };
}

function eagerModules(target: Process['target'], convolves: boolean): Range {
  const since = capabilityOf(target) >= 86;
  const best = (since ? EAGER_MODULES_SINCE_8_6 : EAGER_MODULES) + (convolves ? EAGER_CUDNN : 0);
  return { low: best - EAGER_SPREAD, best, high: best + EAGER_SPREAD };
}
