/** The document of `batchfit tune`. */
import { z } from 'zod';
import { DIRECTIONS, SAMPLERS } from '../../probe/tune/sampler.js';
import { OPTIMIZERS } from '../../setup.js';
import { count } from '../fields.js';

const positive = z.number().positive();
const setting = z.object({ batch: count, learningRate: positive });

const trial = setting.extend({
  number: count.describe('within the study, from 0'),
  metric: z.number().nullable().describe('the last value that the command said'),
  outcome: z.enum(['done', 'pruned', 'oom', 'crash', 'timeout']),
  evidence: z.string(),
  ran: z.boolean().describe('false where a smaller batch had run out of memory on the same machine'),
  reports: z.array(z.object({ step: z.number(), metric: z.number() })),
  seconds: z.number().nonnegative(),
  host: z.string(),
});

export const document = z.object({
  command: z.array(z.string()),
  sampler: z.enum(SAMPLERS),
  direction: z.enum(DIRECTIONS),
  reference: setting.extend({ optimizer: z.enum(OPTIMIZERS), rule: z.enum(['linear', 'sqrt', 'none', 'recipe', 'lamb']) }),
  space: z.object({
    settings: z.array(setting).describe("each batch with the rule's learning rate"),
    lrSpread: positive,
  }),
  budget: count.describe('trials that the study is to have'),
  best: setting.extend({ metric: z.number(), number: count }).nullable(),
  reason: z.string().describe('why the best is the best, or why there is none'),
  ended: z.string().describe('why the study ended here'),
  trials: z.array(trial),
  runningElsewhere: count,
  largestRun: count.nullable().describe('largest batch that was seen to train'),
  smallestOutOfMemory: count.nullable(),
  shared: z.object({ storage: z.string(), study: z.string() }).nullable(),
  journal: z.string().nullable().describe('one JSON line a trial, of a study that no storage keeps'),
  interrupted: z.boolean(),
  seconds: z.number().nonnegative(),
});
