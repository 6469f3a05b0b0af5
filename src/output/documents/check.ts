/** The document of `batchfit check`. */
import { z } from 'zod';

export const document = z.object({
  passed: z.boolean(),
  checks: z.array(
    z.object({
      name: z.string(),
      level: z.enum(['error', 'warn']),
      expected: z.string(),
      found: z.union([z.string(), z.number(), z.boolean()]).nullable().describe('null when it is not here or cannot be read'),
      passed: z.boolean(),
      outcome: z.enum(['passed', 'failed', 'missing', 'unknown']),
      note: z.string(),
    }),
  ),
});
