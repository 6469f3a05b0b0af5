/** What a command says of itself: `BATCHFIT {"peakBytes":..,"samplesPerSecond":..}` on a line of standard output. */
import { z } from 'zod';

const said = z.object({
  peakBytes: z.number().nonnegative().nullable().default(null),
  samplesPerSecond: z.number().nonnegative().nullable().default(null),
});

export type Said = z.infer<typeof said>;

/** The last valid line; a foreign or broken one is ignored. */
export function readSaid(stdout: string): Said {
  let found: Said = { peakBytes: null, samplesPerSecond: null };
  for (const [, text] of stdout.matchAll(/^BATCHFIT (\{.*\})\s*$/gm)) {
    try {
      const parsed = said.safeParse(JSON.parse(text!));
      if (parsed.success) found = parsed.data;
    } catch {
      // Not JSON: not for us.
    }
  }
  return found;
}
