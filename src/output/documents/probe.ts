/** The document of `batchfit probe`. */
import { z } from 'zod';
import { bytes, count, setup } from '../fields.js';

const seconds = z.number().nonnegative();
const rate = z.number().nonnegative();
const outcome = z.enum(['fits', 'oom', 'timeout', 'crash', 'unsupported']);

const trial = z.object({
  batch: count,
  outcome,
  peakBytes: bytes.nullable().describe("as the framework counts it, else the process's highest resident memory"),
  reservedBytes: bytes.nullable(),
  deviceBytes: bytes.nullable(),
  processPeakBytes: bytes.nullable(),
  stepSeconds: z.object({ median: seconds, mad: seconds, samples: z.array(seconds) }).nullable(),
  samplesPerSecond: rate.nullable(),
  seconds,
  evidence: z.string(),
});

export const document = z.object({
  engine: z.enum(['torch', 'tfjs', 'command']),
  model: z.string().nullable(),
  command: z.array(z.string()).nullable(),
  setup: setup.nullable().describe("null for the command engine: the command's own"),
  device: z
    .object({ kind: z.string(), name: z.string().nullable(), backend: z.string(), totalBytes: bytes.nullable() })
    .nullable()
    .describe('what really ran the trials'),
  memoryCap: z.object({ bytes, source: z.enum(['flag', 'available']) }).nullable(),
  estimatedBatch: count.nullable().describe("the estimate's largest batch, where the search began"),
  largest: z.object({ batch: count, source: z.literal('measured') }).nullable(),
  smallestFailing: z.object({ batch: count, outcome }).nullable(),
  verdict: z.enum(['verified', 'max-batch', 'nothing-fits', 'inconclusive']),
  reason: z.string(),
  trials: z.array(trial),
  calibration: z.object({ fixedBytes: z.number().int(), perSampleBytes: z.number().int(), residual: z.number().nonnegative() }).nullable(),
  throughput: z.object({
    knee: z.object({ batch: count }).nullable(),
    points: z.array(z.object({ batch: count, stepSeconds: seconds.nullable(), samplesPerSecond: rate })),
  }),
  environment: z.record(z.string(), z.string()).describe('variables that every trial got, if it did not set them itself'),
  journal: z.string(),
  interrupted: z.boolean(),
  seconds,
});
