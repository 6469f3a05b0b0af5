/** What would make a model fit that does not: the same run with one thing changed. */
import { BatchfitError } from '../errors.js';
import type { Setup } from '../setup.js';
import type { Remedy } from './training-plan.js';

/** Changes in the order of what they cost: nothing but speed, precision, the optimizer, what is trained. */
const CHANGES: Array<{ change: string; apply: (setup: Setup) => Partial<Setup> | null }> = [
  { change: '--checkpointing full', apply: ({ checkpointing }) => (checkpointing === 'none' ? { checkpointing: 'full' } : null) },
  {
    change: '--precision amp-bf16',
    apply: ({ precision }) => (precision === 'fp32' || precision === 'tf32' ? { precision: 'amp-bf16' } : null),
  },
  { change: '--precision bf16', apply: ({ precision }) => (precision === 'bf16' || precision === 'fp16' ? null : { precision: 'bf16' }) },
  {
    change: '--optimizer adamw-8bit',
    apply: ({ optimizer }) => (optimizer === 'adam' || optimizer === 'adamw' ? { optimizer: 'adamw-8bit' } : null),
  },
  { change: '--optimizer sgd', apply: ({ optimizer }) => (optimizer === 'sgd' ? null : { optimizer: 'sgd' }) },
  {
    change: '--checkpointing full --precision bf16 --optimizer adamw-8bit',
    apply: ({ optimizer }) => (optimizer === 'sgd' ? null : { checkpointing: 'full', precision: 'bf16', optimizer: 'adamw-8bit' }),
  },
  {
    change: '--method lora --checkpointing full',
    apply: ({ method }) => (method === 'full' ? { method: 'lora', checkpointing: 'full' } : null),
  },
];

/** `largestBatch` estimates the largest micro batch of a setup; one that the estimate does not cover is left out. */
export function findRemedies(setup: Setup, largestBatch: (setup: Setup) => number): Remedy[] {
  return CHANGES.flatMap(({ change, apply }) => {
    const changed = apply(setup);
    if (changed === null) return [];
    try {
      return [{ change, maxBatch: largestBatch({ ...setup, ...changed }) }];
    } catch (error) {
      if (error instanceof BatchfitError) return [];
      throw error;
    }
  });
}
