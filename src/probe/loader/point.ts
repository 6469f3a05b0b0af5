/** One number of workers: how it went, how fast it was and what it took. */
import { z } from 'zod';
import type { Bytes, Seconds } from '../../units.js';
import type { Outcome } from '../engine.js';

export interface LoaderPoint {
  workers: number;
  prefetch: number;
  outcome: Outcome;
  evidence: string;
  samplesPerSecond: number | null;
  /** Of the worker processes; of the whole command where a command was run. null where it cannot be read. */
  hostBytes: Bytes | null;
  /** Until the first batch was there; null for a command. */
  firstBatchSeconds: Seconds | null;
  batch: number | null;
  accelerator: boolean;
  /** Batches were copied to pinned memory. */
  pinMemory: boolean;
  /** Samples came in random order; null where the data decides, and for a command. */
  shuffles: boolean | null;
}

export const loaderLine = z.object({
  schema: z.literal('batchfit/loader-point@1'),
  samples: z.number().int().positive(),
  seconds: z.number().positive(),
  firstBatchSeconds: z.number().nonnegative(),
  batch: z.number().int().positive(),
  workerBytes: z.number().int().nonnegative().nullable(),
  accelerator: z.boolean(),
  pinMemory: z.boolean(),
  shuffles: z.boolean().nullable(),
});

export type LoaderLine = z.infer<typeof loaderLine>;

/** The last valid line of a child, or null. */
export function readLoaderLine(text: string): LoaderLine | null {
  let found: LoaderLine | null = null;
  for (const line of text.split('\n').filter((each) => each.startsWith('{'))) {
    try {
      found = loaderLine.safeParse(JSON.parse(line)).data ?? found;
    } catch {
      // Cut short: not for us.
    }
  }
  return found;
}
