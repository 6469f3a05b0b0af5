/** The document of `batchfit engines`. */
import { z } from 'zod';

const engine = z.object({
  name: z.enum(['torch', 'tfjs', 'command']),
  status: z.enum(['ready', 'missing', 'broken']),
  version: z.string().nullable(),
  device: z.string().nullable(),
  reason: z.string(),
});

export const document = z.object({
  engines: z.array(engine),
  installed: z
    .object({ name: z.string(), folder: z.string(), version: z.string(), alreadyThere: z.boolean() })
    .nullable()
    .describe('what `engines install` made; null when only asked for the state'),
});
