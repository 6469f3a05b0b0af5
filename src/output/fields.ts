/** Pieces that several documents share, as schemas. */
import { z } from 'zod';
import {
  ATTENTIONS,
  CHECKPOINTINGS,
  FRAMEWORKS,
  METHODS,
  OPTIMIZER_IMPLEMENTATIONS,
  OPTIMIZERS,
  PRECISIONS,
  SHARDINGS,
  ZERO_GRAD_POSITIONS,
  ZERO_GRADS,
} from '../setup.js';

export const bytes = z.number().int().nonnegative();
export const count = z.number().int().nonnegative();
export const source = z.enum(['measured', 'calibrated', 'estimated', 'recipe', 'assumed']);
export const range = z.object({ low: count, best: count, high: count });

export const setup = z.object({
  batch: count,
  image: z.tuple([count, count]).nullable(),
  seq: count.nullable(),
  precision: z.enum(PRECISIONS),
  optimizer: z.enum(OPTIMIZERS),
  optimizerImplementation: z.enum(OPTIMIZER_IMPLEMENTATIONS),
  checkpointing: z.enum(CHECKPOINTINGS),
  attention: z.enum(ATTENTIONS),
  method: z.enum(METHODS),
  loraRank: count,
  loraTargets: z.array(z.string()),
  zeroGrad: z.enum(ZERO_GRADS),
  zeroGradPosition: z.enum(ZERO_GRAD_POSITIONS),
  gpus: count,
  sharding: z.enum(SHARDINGS),
  tensorParallel: count,
  accumulation: count,
  clipGradNorm: z.number().positive().nullable(),
  keepOutputs: z.boolean(),
  channelsLast: z.boolean(),
  ema: z.boolean().default(false),
  generic: z.boolean().default(false),
  framework: z.enum(FRAMEWORKS),
});

export const device = z.object({
  name: z.string(),
  kind: z.string(),
  count,
  totalBytes: bytes,
  usableBytes: bytes,
  computeCapability: z.string().nullable(),
  source,
});

export const model = z.object({
  name: z.string(),
  parameters: count,
  trainableParameters: count,
  source: z.object({ format: z.string(), reference: z.string(), versions: z.array(z.string()).optional() }),
});

export const memory = z.object({
  peak: z.object({
    tensorBytes: bytes,
    tensorReservedBytes: bytes,
    requestedBytes: bytes,
    allocatedBytes: bytes,
    reservedBytes: bytes,
    deviceBytes: range,
  }),
  peakAt: z.enum(['forward', 'backward', 'optimizer']),
  breakdown: z.object({
    parameters: bytes,
    gradients: bytes,
    optimizerState: bytes,
    activations: bytes,
    inputs: bytes,
    temporaries: bytes,
    workspaces: bytes,
    fragmentation: bytes,
    context: bytes,
  }),
  fixedBytes: z.number().int(),
  perSampleBytes: bytes,
  perSampleActivationBytes: bytes,
  perSampleGradientBytes: bytes,
  source,
});
