/** Optimizers whose state or step is not a number of copies of the weights. Each names the code that it follows. */
import type { Optimizer, OptimizerImplementation } from '../setup.js';
import { Scratch } from './scratch.js';

/** A trained weight, as optimizers see it. */
export interface TrainedWeight {
  shape: readonly number[];
  bytes: number;
  /** Neither an embedding nor a head: what Muon trains, where it is a matrix. Absent where nobody asked. */
  hidden?: boolean;
}

export interface SpecialStep {
  /** State that the first step makes and keeps, in bytes. */
  states: number[];
  scratch: Scratch;
}

type Rule = (weights: readonly TrainedWeight[], implementation: OptimizerImplementation) => SpecialStep;

const elements = ({ shape }: TrainedWeight): number => shape.reduce((a, b) => a * b, 1);
const bytesOf = (weights: readonly TrainedWeight[]): number[] => weights.map((w) => w.bytes);

/** bitsandbytes quantizes states in blocks of 256 (bitsandbytes/optim/optimizer.py; 2048 before 0.45). */
const BLOCK = 256;
/** Smaller tensors keep float32 states (`min_8bit_size`). */
const SMALLEST_QUANTIZED = 4096;

/**
 * bitsandbytes AdamW8bit: two states of one byte an element with a float32 maximum a block, two code books of 256
 * floats for all; the kernel works in place.
 */
const adamw8bit: Rule = (weights) => {
  const scratch = new Scratch();
  const states = weights.flatMap((w) => {
    const n = elements(w);
    if (n < SMALLEST_QUANTIZED) return [4 * n, 4 * n];
    const maxima = 4 * Math.ceil(n / BLOCK);
    return [n, n, maxima, maxima];
  });
  return { states: weights.some((w) => elements(w) >= SMALLEST_QUANTIZED) ? [4 * BLOCK, 4 * BLOCK, ...states] : states, scratch };
};

/** Sizes of the row and the column statistics of a weight with two or more dimensions, and of the rows' mean. */
function factors(w: TrainedWeight): [row: number, column: number, mean: number] {
  const [rows, columns] = [w.shape.at(-2) ?? 1, w.shape.at(-1) ?? 1];
  return [w.bytes / columns, w.bytes / rows, w.bytes / columns / rows];
}

/** torch.optim.Adafactor: factored second moments, no first; a loop over tensors unless foreach is asked for. */
const adafactor: Rule = (weights, implementation) => {
  const scratch = new Scratch();
  const states = weights.flatMap((w) => (w.shape.length > 1 ? factors(w).slice(0, 2) : [w.bytes]));
  if (implementation === 'foreach') {
    const matrices = weights.filter((w) => w.shape.length > 1);
    const vectors = weights.filter((w) => w.shape.length <= 1);
    for (const group of [matrices, vectors]) {
      if (group.length === 0) continue;
      if (group === vectors) scratch.pass(...bytesOf(group));
      scratch.assign('var_estimates', ...bytesOf(group));
      if (group === matrices) scratch.pass(...group.map((w) => factors(w)[2]));
    }
  } else {
    for (const w of weights) {
      const [row, column, mean] = factors(w);
      const factored = w.shape.length > 1;
      if (factored) scratch.assign('row_mean', row);
      if (factored) scratch.assign('col_mean', column);
      else scratch.assign('grad_squared', w.bytes);
      // `update` is another name for the estimate: the one before it dies when the next is assigned to both.
      scratch.assign('var_estimate', w.bytes);
      if (factored) scratch.pass(mean);
    }
  }
  scratch.end();
  return { states, scratch };
};

/** Lion as timm has it: one moment, and the update that is its interpolation with the gradient. */
const lion: Rule = (weights, implementation) => {
  const scratch = new Scratch();
  if (implementation === 'foreach') scratch.assign('updates', ...bytesOf(weights));
  else for (const w of weights) scratch.assign('update', w.bytes);
  scratch.end();
  return { states: bytesOf(weights), scratch };
};

/** LAMB as timm has it: gradients scaled by their global norm, Adam's update, and a trust ratio a tensor. */
const lamb: Rule = (weights, implementation) => {
  const scratch = new Scratch();
  if (implementation === 'foreach') {
    for (const name of ['grads', 'denom', 'updates']) scratch.assign(name, ...bytesOf(weights));
  } else {
    for (const w of weights) {
      scratch.assign('grad', w.bytes);
      scratch.assign('root', w.bytes);
      scratch.assign('denom', w.bytes);
      scratch.delete('root');
      scratch.assign('update', w.bytes);
    }
  }
  scratch.end();
  return { states: weights.flatMap((w) => [w.bytes, w.bytes]), scratch };
};

/** LARS as timm has it, with momentum and weight decay: the gradient with decay, scaled by the trust ratio. */
const lars: Rule = (weights, implementation) => {
  const scratch = new Scratch();
  if (implementation === 'foreach') scratch.assign('grads', ...bytesOf(weights));
  else for (const w of weights) scratch.pass(w.bytes);
  scratch.end();
  return { states: bytesOf(weights), scratch };
};

/**
 * torch.optim.Muon for the hidden matrices, AdamW for everything else: momentum, then five Newton-Schulz iterations in
 * bfloat16 on the matrix with its shorter side first.
 */
const muon: Rule = (weights) => {
  const scratch = new Scratch();
  const matrices = weights.filter((w) => w.shape.length === 2 && w.hidden !== false);
  const others = weights.filter((w) => !matrices.includes(w));
  const states = [...bytesOf(matrices), ...others.flatMap((w) => [w.bytes, w.bytes])];
  for (const w of matrices) {
    const half = 2 * elements(w);
    const gram = 2 * Math.min(...w.shape) ** 2;
    scratch.assign('lerp', w.bytes);
    scratch.delete('update');
    scratch.assign('ortho_grad', half);
    for (let i = 0; i < 2; i++) {
      scratch.assign('gram_matrix', gram);
      scratch.assign('gram_update', gram);
      scratch.assign('ortho_grad', half);
    }
    for (const name of ['gram_matrix', 'gram_update', 'lerp', 'ortho_grad']) scratch.delete(name);
    scratch.assign('update', half);
  }
  scratch.end();
  scratch.assign('exp_avg_sq_sqrt', ...bytesOf(others));
  scratch.end();
  return { states, scratch };
};

export const SPECIAL_STEPS: Partial<Record<Optimizer, Rule>> = { 'adamw-8bit': adamw8bit, adafactor, lion, lamb, lars, muon };

/** Those that loop over single tensors by default, also on CUDA. */
export const SINGLE_BY_DEFAULT: ReadonlySet<Optimizer> = new Set(['adamw-8bit', 'adafactor', 'lion', 'lamb', 'lars', 'muon']);
