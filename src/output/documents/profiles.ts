/** The document of `batchfit profiles`. */
import { z } from 'zod';

export const document = z.object({
  profiles: z
    .array(z.object({ kind: z.string(), name: z.string(), summary: z.string() }))
    .describe('in the order listed; one entry when a name was given'),
  profile: z.record(z.string(), z.unknown()).nullable().describe('everything the named profile says, null in a list'),
});
