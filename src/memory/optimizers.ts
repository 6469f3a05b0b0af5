/**
 * What each optimizer keeps from step to step and what one step makes and drops, as torch.optim does it by default on
 * CUDA (foreach): whole lists of tensors at once.
 */
import type { Optimizer, OptimizerImplementation, Setup } from '../setup.js';
import { SINGLE_BY_DEFAULT, SPECIAL_STEPS, type TrainedWeight } from './optimizer-steps.js';
import { Scratch } from './scratch.js';

interface Behaviour {
  /** State tensors of the parameter's own size. */
  states: number;
  /** Full lists alive at once inside a foreach step, beside the state. */
  foreachLists: number;
  /** What the loop over single tensors makes for each one. */
  single?: (scratch: Scratch, bytes: number) => void;
  /** With the fused kernel each parameter's step count is a tensor on the device. */
  counts: boolean;
  /** Has a fused kernel. */
  fused: boolean;
}

/** `avg = square_avg.sqrt()`: the variable has the last weight's until the next one's is made. */
const root = (scratch: Scratch, bytes: number): void => scratch.assign('avg', bytes);

/** `denom = (exp_avg_sq.sqrt() / bias_correction2_sqrt).add_(eps)` */
function rootAndQuotient(scratch: Scratch, bytes: number): void {
  scratch.assign('root', bytes);
  scratch.assign('denom', bytes);
  scratch.delete('root');
}

const BEHAVIOUR: Partial<Record<Optimizer, Behaviour>> = {
  sgd: { states: 0, foreachLists: 0, counts: false, fused: true },
  momentum: { states: 1, foreachLists: 0, counts: false, fused: true },
  nesterov: { states: 1, foreachLists: 0, single: (scratch, bytes) => scratch.pass(bytes), counts: false, fused: true },
  adam: { states: 2, foreachLists: 1, single: rootAndQuotient, counts: true, fused: true },
  adamw: { states: 2, foreachLists: 1, single: rootAndQuotient, counts: true, fused: true },
  rmsprop: { states: 1, foreachLists: 1, single: root, counts: false, fused: false },
  adagrad: { states: 1, foreachLists: 2, single: root, counts: false, fused: true },
};

/** One optimizer step on a list of weights. */
export interface OptimizerStep {
  /** State that the first step makes and keeps: bytes, in the order they are made. */
  states: number[];
  /** What the step makes and drops. */
  scratch: Scratch;
}

const SCALAR_BYTES = 4;

/** The setup with the implementation that the optimizer has by default where that is not foreach. */
export function withOptimizerDefault(setup: Setup): Setup {
  const single = setup.optimizerImplementation === 'default' && SINGLE_BY_DEFAULT.has(setup.optimizer);
  return single ? { ...setup, optimizerImplementation: 'single' } : setup;
}

/** What `optimizer.step()` allocates for these weights. */
export function optimizerStep(
  optimizer: Optimizer,
  implementation: OptimizerImplementation,
  trained: readonly TrainedWeight[],
): OptimizerStep {
  const special = SPECIAL_STEPS[optimizer];
  if (special) return special(trained, implementation);
  const behaviour = BEHAVIOUR[optimizer] as Behaviour;
  const fused = implementation === 'fused' && behaviour.fused;
  const states = trained.flatMap(({ bytes }) => [
    ...new Array<number>(behaviour.states).fill(bytes),
    ...(fused && behaviour.counts ? [SCALAR_BYTES] : []),
  ]);
  const scratch = new Scratch();
  if (fused) return { states, scratch };
  if (implementation === 'single') {
    for (const { bytes } of trained) behaviour.single?.(scratch, bytes);
    scratch.end();
    return { states, scratch };
  }
  const lists: number[] = [];
  for (let list = 0; list < behaviour.foreachLists; list++) for (const { bytes } of trained) lists.push(bytes);
  scratch.pass(...lists);
  return { states, scratch };
}

/** clip_grad_norm_ (foreach): a norm per gradient, their stack, the total, and the factor in three steps. */
export function clippingTemporaries(gradients: number): number[] {
  return [...new Array<number>(gradients + 4).fill(SCALAR_BYTES), gradients * SCALAR_BYTES];
}
