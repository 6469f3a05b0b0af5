/** The document of `batchfit plan`. */
import { z } from 'zod';
import { OPTIMIZERS } from '../../setup.js';
import { bytes, count, device, memory, model, range, setup, source } from '../fields.js';

const confidence = z.enum(['high', 'medium', 'low']);
const rate = z.number().positive();
const share = z.number().nonnegative();

const positive = z.number().int().positive();

const batch = z.object({
  micro: positive,
  accumulation: positive,
  replicas: positive,
  effective: positive.describe('micro * accumulation * replicas: samples behind one update'),
  target: count,
  residue: z.number().int().describe('effective - target'),
  tokensPerStep: count.nullable(),
  origin: z.enum(['user', 'reference', 'goal', 'recipe', 'noise-scale', 'start']).describe('what set the target'),
  source: source.describe('of the limit that the micro batch keeps to'),
  why: z.string(),
});

const learningRate = z.object({
  value: rate,
  rule: z.enum(['linear', 'sqrt', 'none', 'recipe', 'lamb']),
  range: z.object({ low: rate, high: rate }),
  reference: z.object({
    batch: count.nullable(),
    learningRate: rate,
    name: z.string(),
    origin: z.enum(['user', 'recipe', 'default']),
  }),
  kappa: rate.nullable().describe('effective batch / reference batch'),
  source,
  citation: z.string(),
  confidence,
  why: z.string(),
});

const optimizer = z.object({
  name: z.enum(OPTIMIZERS),
  momentum: share.nullable(),
  beta1: share.nullable(),
  beta2: share.nullable(),
  eps: share.nullable(),
  weightDecay: share.nullable(),
  why: z.string(),
  citation: z.string(),
});

const warmup = z.object({
  steps: count.nullable(),
  epochs: share.nullable(),
  fromFraction: share.describe('rate at the first step over the peak rate'),
  why: z.string(),
  citation: z.string(),
});

const schedule = z.object({
  stepsPerEpoch: count.nullable(),
  totalSteps: count.nullable(),
  epochs: share.nullable(),
  microBatchesPerEpoch: count.nullable(),
  lastMicroBatch: count.nullable().describe('samples of the last micro batch over all replicas'),
  lastStepSamples: count.nullable(),
  unusedSamples: count.nullable(),
  epochEnd: z.enum(['flush', 'carry', 'drop']).describe('what becomes of micro batches left over at the end of an epoch'),
  dropLast: z.boolean(),
});

const throughput = z.object({
  stepSeconds: share.nullable(),
  samplesPerSecond: share.nullable(),
  tokensPerSecond: share.nullable(),
  knee: count.nullable(),
  secondsPerEpoch: share.nullable(),
  costPerEpoch: share.nullable(),
  totalSeconds: share.nullable(),
  totalCost: share.nullable(),
  source: source.nullable(),
  why: z.string(),
});

const candidate = z.object({
  micro: count,
  accumulation: count,
  effective: count,
  learningRate: rate.nullable(),
  stepSeconds: share.nullable(),
  samplesPerSecond: share.nullable(),
  relativeTimeToTarget: share.nullable().describe('over the recommended batch'),
  relativeCompute: share.nullable().describe('samples to a target over the fewest possible'),
  fits: z.boolean(),
  recommended: z.boolean(),
});

const crossCheck = z.object({
  laws: z.array(
    z.object({
      law: z.string(),
      learningRate: rate.nullable(),
      batchTokens: share.nullable(),
      weightDecay: share.nullable().describe("of a decoupled optimizer at the plan's own rate and batch"),
      inDomain: z.boolean().nullable(),
      source: z.string(),
    }),
  ),
  learningRate: z.object({ low: rate, high: rate }),
  batchTokens: z.object({ low: share, high: share }),
  within: z.object({ learningRate: z.boolean(), batch: z.boolean() }),
});

export const document = z.object({
  model: model.extend({ sequence: count.nullable() }),
  setup,
  device,
  fits: z.boolean(),
  batch: batch.nullable().describe('null when nothing fits'),
  learningRate: learningRate.nullable(),
  optimizer,
  warmup: warmup.nullable(),
  schedule: schedule.nullable(),
  regime: z.enum(['stochastic', 'mini-batch', 'full-batch']).nullable(),
  memory: memory.extend({ fits: z.boolean(), measuredPeakBytes: bytes.nullable() }),
  maxBatch: range,
  throughput,
  noise: z.object({ scale: rate.nullable(), source: source.nullable(), efficiency: share.nullable() }),
  candidates: z.array(candidate),
  loader: z
    .object({
      workers: count,
      prefetch: count,
      pinMemory: z.boolean(),
      hostBytes: bytes.nullable(),
      source: z.literal('assumed'),
      why: z.string(),
    })
    .nullable(),
  recipe: z.object({ name: z.string(), title: z.string(), named: z.boolean(), notes: z.array(z.string()) }).nullable(),
  crossCheck: crossCheck.nullable(),
  remedies: z.array(z.object({ change: z.string(), maxBatch: count })),
  confidence,
  reasons: z.array(z.object({ topic: z.string(), text: z.string(), source: z.string() })),
  export: z.object({ name: z.string(), filename: z.string(), content: z.string(), notes: z.array(z.string()) }).optional(),
});

export type PlanDocument = z.infer<typeof document>;
