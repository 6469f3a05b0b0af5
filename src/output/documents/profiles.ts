/** The document of `batchfit profiles`. */
import { z } from 'zod';

export const document = z.object({
  profiles: z
    .array(
      z.object({
        kind: z.string(),
        name: z.string(),
        summary: z.string(),
        parameters: z.int().optional().describe('of a model'),
        input: z.string().optional().describe("a model's example input, without the batch"),
      }),
    )
    .describe('in the order listed; when a name was given, that one, then models whose names hold it'),
  profile: z.record(z.string(), z.unknown()).nullable().describe('everything the named profile says, null in a list'),
});
