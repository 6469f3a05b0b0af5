/** The flags of `plan` that ask for something, and what they ask for. */
import { boolean, custom, option, string } from '@oclif/core/flags';
import type { OutputFlags } from '@oclif/core/interfaces';
import { UsageError } from '../../errors.js';
import { SCALINGS } from '../../plan/learning-rate.js';
import { GOALS } from '../../plan/target.js';
import type { PlanRequest } from '../../plan/training-plan.js';
import { count, positive } from '../flags.js';
import { PLAN_ENGINES } from './probed.js';

const momentum = custom<number>({
  parse: async (input, _context, self) => {
    const value = input.trim() === '' ? Number.NaN : Number(input);
    if (value >= 0 && value < 1) return value;
    throw new UsageError(
      'BAD_NUMBER',
      `--${self.name}: expected a number from 0 to below 1, found "${input}"`,
      'write a number such as 0.9',
    );
  },
  helpValue: 'X',
});

export const requestFlags = {
  'target-batch': count({ description: 'effective batch to reach [default: the recipe, else a moderate start]' }),
  'dataset-size': count({ description: 'samples in the training set' }),
  epochs: count({ description: 'passes over the training set' }),
  recipe: string({ helpValue: 'NAME', description: 'a published setting to follow, or a .yaml file; "none" for none' }),
  'reference-batch': count({ description: 'effective batch of a setting known to work' }),
  'reference-lr': positive({ description: 'learning rate of that setting' }),
  'noise-scale': positive({ description: 'gradient noise scale in samples, as batchfit noise measures it' }),
  goal: option({ options: GOALS })({ description: 'what the batch is chosen for when no target is given' }),
  scaling: option({ options: SCALINGS })({ description: 'rule for the learning rate [default: auto, by recipe and optimizer]' }),
  momentum: momentum({ description: 'momentum to train with; the learning rate follows' }),
  'drop-last': boolean({ description: 'the loader drops a last, smaller batch' }),
  'mixed-lengths': boolean({ description: 'samples differ in length' }),
  contrastive: boolean({ description: 'the loss compares the samples of a batch with each other' }),
  'price-per-hour': positive({ description: 'price of all devices together' }),
};

export const measureFlags = {
  probe: boolean({ description: 'measure what fits and how fast with real training steps, instead of trusting the estimate' }),
  engine: option({ options: PLAN_ENGINES })({
    dependsOn: ['probe'],
    description: 'what runs the steps [default: the first that is ready]',
  }),
  'time-limit': string({ dependsOn: ['probe'], helpValue: '5m', description: 'for the whole probe [default: 5m]' }),
  'memory-cap': string({ dependsOn: ['probe'], helpValue: '4GiB', description: 'cap on the memory of each trial, where the system can' }),
};

/** Throws UsageError where two flags need each other. */
export function parseRequest(
  flags: OutputFlags<typeof requestFlags> & { accumulation?: number | undefined },
  batch: number | 'auto',
): Omit<PlanRequest, 'epochEnd'> {
  const referenceBatch = flags['reference-batch'];
  const referenceRate = flags['reference-lr'];
  if ((referenceBatch === undefined) !== (referenceRate === undefined)) {
    const [given, missing] =
      referenceBatch === undefined ? ['--reference-lr', '--reference-batch'] : ['--reference-batch', '--reference-lr'];
    throw new UsageError(
      'INCOMPLETE_REFERENCE',
      `${given}: needs ${missing} beside it`,
      'a reference is a batch and the learning rate that works at it',
    );
  }
  return {
    targetBatch: flags['target-batch'] ?? null,
    datasetSize: flags['dataset-size'] ?? null,
    epochs: flags.epochs ?? null,
    reference: referenceBatch === undefined ? null : { batch: referenceBatch, learningRate: referenceRate! },
    noiseScale: flags['noise-scale'] ?? null,
    goal: flags.goal ?? null,
    scaling: flags.scaling ?? 'auto',
    momentum: flags.momentum ?? null,
    dropLast: flags['drop-last'] ?? false,
    mixedLengths: flags['mixed-lengths'] ?? false,
    contrastive: flags.contrastive ?? false,
    micro: batch === 'auto' ? null : batch,
    accumulation: flags.accumulation ?? null,
    pricePerHour: flags['price-per-hour'] ?? null,
  };
}
