/** The document of `batchfit trace`. */
import { z } from 'zod';
import { count, model } from '../fields.js';

const limits = z.object({ default: count, min: count.optional(), max: count.optional(), multipleOf: count.optional() });

export const document = z.object({
  path: z.string().describe('where the graph is'),
  name: z.string(),
  source: model.shape.source,
  symbols: z.object({ S: limits.optional(), H: limits.optional(), W: limits.optional() }).describe('sizes that are free beside the batch'),
  parameters: count,
  nodes: count.describe('operator calls of one forward pass'),
  operators: count.describe('different operators'),
  checkpoints: z.array(z.string()).describe('module calls that full activation checkpointing recomputes'),
});
