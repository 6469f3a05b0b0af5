/** What an optimizer's step reads, writes and launches, from the operations of torch.optim. */
import type { Optimizer, OptimizerImplementation, Setup } from '../setup.js';
import type { Bytes } from '../units.js';

interface Update {
  /** Operations on each weight as separate calls, and how often those read or write an element. */
  operations: number;
  passes: number;
  /** Reads and writes of one kernel that does all: weight, gradient and state in; weight and state out. */
  fusedPasses: number;
}

/**
 * torch/optim (`_single_tensor_*`): each operation reads its operands and writes its result. Momentum: buf.mul_(m),
 * buf.add_(g), p.add_(buf) are 2 + 3 + 3 passes; Adam: lerp_, mul_, addcmul_, sqrt, div_, add_, addcdiv_, and AdamW's
 * p.mul_ before. Optimizers of other packages are counted from their published update.
 */
const UPDATES: Record<Optimizer, Update> = {
  sgd: { operations: 1, passes: 3, fusedPasses: 3 },
  momentum: { operations: 3, passes: 8, fusedPasses: 5 },
  nesterov: { operations: 4, passes: 11, fusedPasses: 5 },
  adam: { operations: 7, passes: 18, fusedPasses: 7 },
  adamw: { operations: 8, passes: 20, fusedPasses: 7 },
  'adamw-8bit': { operations: 1, passes: 4, fusedPasses: 4 },
  adagrad: { operations: 4, passes: 11, fusedPasses: 5 },
  rmsprop: { operations: 5, passes: 13, fusedPasses: 5 },
  adafactor: { operations: 12, passes: 20, fusedPasses: 20 },
  lion: { operations: 5, passes: 13, fusedPasses: 5 },
  lamb: { operations: 12, passes: 30, fusedPasses: 12 },
  lars: { operations: 7, passes: 14, fusedPasses: 9 },
  muon: { operations: 20, passes: 40, fusedPasses: 40 },
};

/** Optimizers whose update is one kernel whatever is asked for. */
const ALWAYS_FUSED = new Set<Optimizer>(['adamw-8bit']);

/** Tensors that one multi-tensor kernel takes on the average (its argument block holds 30 to 110). */
const TENSORS_PER_LAUNCH = 48;

export interface OptimizerWork {
  bytes: Bytes;
  launches: number;
}

/** One step on all trained weights; clipping reads every gradient for its norm, then scales it. */
export function optimizerWork(setup: Setup, trained: { tensors: number; bytes: Bytes }): OptimizerWork {
  const update = UPDATES[setup.optimizer];
  const implementation: OptimizerImplementation = ALWAYS_FUSED.has(setup.optimizer) ? 'fused' : setup.optimizerImplementation;
  const fused = implementation === 'fused';
  const clipping = setup.clipGradNorm === null ? 0 : 3;
  const zeroing = setup.zeroGrad === 'to-zero' ? 1 : 0;
  const operations = (fused ? 1 : update.operations) + (clipping > 0 ? 2 : 0) + zeroing;
  const each = implementation === 'single' ? trained.tensors : Math.ceil(trained.tensors / TENSORS_PER_LAUNCH);
  return { bytes: ((fused ? update.fusedPasses : update.passes) + clipping + zeroing) * trained.bytes, launches: operations * each };
}
