/**
 * What each optimizer keeps from step to step and what one step makes and drops, as torch.optim does it by default on
 * CUDA (foreach): whole lists of tensors at once.
 */
import type { Optimizer, OptimizerImplementation } from '../setup.js';

interface Behaviour {
  /** State tensors of the parameter's own size. */
  states: number;
  /** Full lists alive at once inside a foreach step, beside the state. */
  foreachLists: number;
  /** Tensors of one parameter's size alive at once in a single-tensor step. */
  singleTensors: number;
  /** With the fused kernel each parameter's step count is a tensor on the device. */
  counts: boolean;
  /** Has a fused kernel. */
  fused: boolean;
}

const BEHAVIOUR: Partial<Record<Optimizer, Behaviour>> = {
  sgd: { states: 0, foreachLists: 0, singleTensors: 0, counts: false, fused: true },
  momentum: { states: 1, foreachLists: 0, singleTensors: 0, counts: false, fused: true },
  nesterov: { states: 1, foreachLists: 0, singleTensors: 1, counts: false, fused: true },
  adam: { states: 2, foreachLists: 1, singleTensors: 2, counts: true, fused: true },
  adamw: { states: 2, foreachLists: 1, singleTensors: 2, counts: true, fused: true },
  rmsprop: { states: 1, foreachLists: 1, singleTensors: 1, counts: false, fused: false },
  adagrad: { states: 1, foreachLists: 2, singleTensors: 1, counts: false, fused: true },
};

export const MODELLED_OPTIMIZERS = Object.keys(BEHAVIOUR) as Optimizer[];

export function behaviourOf(optimizer: Optimizer): Behaviour | undefined {
  return BEHAVIOUR[optimizer];
}

/** One optimizer step on a list of weights: sizes in bytes, in the order they are made. */
export interface OptimizerStep {
  /** State that the first step makes and keeps. */
  states: number[];
  /** Groups of temporaries: those of one group are alive together, then dropped. */
  temporaries: number[][];
}

const SCALAR_BYTES = 4;

/** What `optimizer.step()` allocates for weights of these sizes (bytes). */
export function optimizerStep(optimizer: Optimizer, implementation: OptimizerImplementation, trained: readonly number[]): OptimizerStep {
  const behaviour = BEHAVIOUR[optimizer] as Behaviour;
  const fused = implementation === 'fused' && behaviour.fused;
  const states = trained.flatMap((bytes) => [
    ...new Array<number>(behaviour.states).fill(bytes),
    ...(fused && behaviour.counts ? [SCALAR_BYTES] : []),
  ]);
  if (fused) return { states, temporaries: [] };
  if (implementation === 'single') {
    return {
      states,
      temporaries: behaviour.singleTensors ? trained.map((bytes) => new Array<number>(behaviour.singleTensors).fill(bytes)) : [],
    };
  }
  const lists: number[] = [];
  for (let list = 0; list < behaviour.foreachLists; list++) lists.push(...trained);
  return { states, temporaries: lists.length ? [lists] : [] };
}

/** clip_grad_norm_ (foreach): a norm per gradient, their stack, the total, and the factor in three steps. */
export function clippingTemporaries(gradients: number): number[] {
  return [...new Array<number>(gradients + 4).fill(SCALAR_BYTES), gradients * SCALAR_BYTES];
}
