/** The document of `batchfit estimate`. */
import { z } from 'zod';
import { bytes, count, device, memory, model, range, setup } from '../fields.js';

const layer = z.object({
  module: z.string(),
  operators: z.array(z.string()),
  parameters: count,
  parameterBytes: bytes,
  activationBytes: bytes,
});

export const document = z.object({
  model,
  setup,
  memory,
  device,
  fits: z.boolean(),
  maxBatch: range,
  layers: z.array(layer).optional(),
  sweep: z.array(z.object({ batch: count, fits: z.boolean(), memory })).optional(),
});
