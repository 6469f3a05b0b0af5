/** What kind of optimizer it is for the scaling rules, and the settings it has beside the learning rate. */
import type { Optimizer } from '../setup.js';

/** `sgd`: rate follows the batch linearly; `adaptive`: by its square root; `layer-wise`: LARS and LAMB, with LEGW's warm-up. */
export type OptimizerFamily = 'sgd' | 'adaptive' | 'layer-wise';

export interface OptimizerDefaults {
  family: OptimizerFamily;
  learningRate: number;
  momentum: number | null;
  beta1: number | null;
  beta2: number | null;
  eps: number | null;
  weightDecay: number;
  /** Where the numbers are from. */
  source: string;
}

const torch = (name: string) => `defaults of torch.optim.${name}`;
const timm = (name: string) => `defaults of timm.optim.${name}`;
const adam = { family: 'adaptive', learningRate: 1e-3, momentum: null, beta1: 0.9, beta2: 0.999, eps: 1e-8 } as const;
const sgd = { family: 'sgd', learningRate: 1e-3, beta1: null, beta2: null, eps: null, weightDecay: 0 } as const;

/** Read from the signatures of torch 2.13 and timm 1.0; a momentum of 0.9 from timm's training script. */
export const OPTIMIZER_DEFAULTS: Record<Optimizer, OptimizerDefaults> = {
  sgd: { ...sgd, momentum: 0, source: torch('SGD') },
  momentum: { ...sgd, momentum: 0.9, source: `${torch('SGD')}, momentum of timm's train.py` },
  nesterov: { ...sgd, momentum: 0.9, source: `${torch('SGD')}, momentum of timm's train.py` },
  adam: { ...adam, weightDecay: 0, source: torch('Adam') },
  adamw: { ...adam, weightDecay: 0.01, source: torch('AdamW') },
  'adamw-8bit': { ...adam, weightDecay: 0.01, source: torch('AdamW') },
  adagrad: { ...adam, learningRate: 1e-2, beta1: null, beta2: null, eps: 1e-10, weightDecay: 0, source: torch('Adagrad') },
  rmsprop: { ...adam, learningRate: 1e-2, beta1: null, beta2: 0.99, weightDecay: 0, source: `${torch('RMSprop')} (beta2 is its alpha)` },
  adafactor: { ...adam, learningRate: 1e-2, beta1: null, beta2: null, eps: null, weightDecay: 0, source: torch('Adafactor') },
  lion: { ...adam, learningRate: 1e-4, beta2: 0.99, eps: null, weightDecay: 0, source: timm('Lion') },
  lamb: { ...adam, family: 'layer-wise', eps: 1e-6, weightDecay: 0.01, source: timm('Lamb') },
  lars: { ...sgd, family: 'layer-wise', learningRate: 1, momentum: 0.9, source: `${timm('Lars')}, momentum of timm's train.py` },
  muon: { ...adam, momentum: 0.95, beta1: null, beta2: null, eps: 1e-7, weightDecay: 0.1, source: torch('Muon') },
};

/** Weight decay that is not part of the gradient: its strength per step is rate times decay. */
export const DECOUPLED: readonly Optimizer[] = ['adamw', 'adamw-8bit', 'lion', 'muon'];

/** Optimizers whose square-root rule is an assumption: nobody studied it for them in a source that was read. */
export const UNSTUDIED: readonly Optimizer[] = ['lion', 'muon', 'adagrad', 'adafactor'];
