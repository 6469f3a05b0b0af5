/** The document of `batchfit noise`. */
import { z } from 'zod';
import { OPTIMIZERS } from '../../setup.js';
import { count, source } from '../fields.js';

const size = z.number().nonnegative();
const range = z.object({ low: size, best: size, high: size });

export const document = z.object({
  noiseScale: z
    .object({ value: size, low: size, high: size })
    .nullable()
    .describe('tr(Sigma) / |G|^2 in samples; null when there are not enough samples'),
  gradientSqNorm: z.number().nullable().describe('|G|^2; may be negative when there are not enough samples'),
  trace: z.number().nullable().describe('tr(Sigma)'),
  samples: count.describe('steps that were logged'),
  enough: z.boolean(),
  drift: size.nullable().describe('noise scale of the later half over that of the earlier half'),
  smallBatch: count.nullable(),
  bigBatch: count.nullable(),
  criticalBatch: range.nullable().describe('the noise scale with the order of magnitude that it is known to'),
  tradeoff: z.array(z.object({ batch: count, relativeSteps: size, relativeSamples: size })),
  source: source.nullable(),
  measurement: z
    .object({
      engine: z.enum(['torch', 'tfjs']),
      model: z.string(),
      data: z.string(),
      device: z.object({ kind: z.string(), name: z.string().nullable(), backend: z.string(), totalBytes: count.nullable() }).nullable(),
      optimizer: z.enum(OPTIMIZERS),
      learningRate: z.number().positive(),
      trainSteps: count.describe('optimizer steps on small batches before the norms were measured'),
      seed: count,
      seconds: size,
      loss: z.number().nullable().describe('mean loss of the measured batches'),
    })
    .nullable()
    .describe('how batchfit measured the norms; null for a log'),
  snippet: z.string().nullable().describe('lines that log the norms, where they were asked for'),
});
