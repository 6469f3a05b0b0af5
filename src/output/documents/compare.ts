/** The document of `batchfit compare`. */
import { z } from 'zod';
import { count, model, setup, source } from '../fields.js';

const figure = z.number().nonnegative().nullable();

const row = z.object({
  device: z.string(),
  fits: z.boolean(),
  maxBatch: count,
  batch: count.nullable(),
  stepSeconds: figure,
  samplesPerSecond: figure,
  mfu: figure,
  limitedBy: z.enum(['memory', 'compute', 'bandwidth', 'launch', 'communication']).nullable(),
  knee: count.nullable(),
  secondsPerEpoch: figure,
  costPerEpoch: figure,
  source,
});

export const document = z.object({
  model,
  setup,
  datasetSize: count.nullable(),
  /** Multiplications and additions of one sample's forward and backward. */
  flopsPerSample: figure,
  rows: z.array(row),
});
