/** The document of `batchfit loader`. */
import { z } from 'zod';
import { bytes, count } from '../fields.js';

const rate = z.number().nonnegative();

export const document = z.object({
  dataset: z.string().nullable().describe('file.py:function; null for made-up images or a command'),
  command: z.array(z.string()).nullable(),
  recommended: z
    .object({
      workers: count,
      prefetch: count.describe('batches that each worker prepares ahead'),
      pinMemory: z.boolean(),
      hostBytes: bytes.nullable().describe('memory of the worker processes, shared pages in part; of the whole command for a command'),
      samplesPerSecond: rate,
      waiting: z
        .number()
        .min(0)
        .max(1)
        .nullable()
        .describe('share of the time that the training step waits; null where its rate is not known'),
      why: z.string(),
    })
    .nullable()
    .describe('null where no number of workers worked'),
  neededSamplesPerSecond: rate.nullable().describe("the training step's own rate"),
  points: z.array(
    z.object({
      workers: count,
      prefetch: count,
      outcome: z.enum(['fits', 'oom', 'timeout', 'crash', 'unsupported']),
      samplesPerSecond: rate.nullable(),
      hostBytes: bytes.nullable(),
      firstBatchSeconds: rate.nullable(),
      batch: count.nullable(),
      accelerator: z.boolean(),
      pinMemory: z.boolean(),
      shuffles: z.boolean().nullable().describe('null where the data decides, and for a command'),
      evidence: z.string(),
    }),
  ),
  usableCores: count,
  source: z.literal('measured'),
});
