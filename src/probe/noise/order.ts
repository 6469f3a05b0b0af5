/** What a noise measurement asks of an engine's child, and the lines in which the child answers. */
import { z } from 'zod';
import type { TrialRequest } from '../engine.js';

/** An array in a file of its own, numbers one after the other in this machine's byte order. */
export interface StoredArray {
  /** Name of the model's input where the model is a graph; else the name in the data file. */
  name: string;
  path: string;
  dtype: 'float32' | 'int32';
  /** Samples first. */
  shape: number[];
}

export type NoiseData =
  | {
      kind: 'arrays';
      arrays: StoredArray[];
      /** int32 file: the samples of every micro batch one after the other, those of the training steps first. */
      draws: string;
    }
  /** `file.py:function`, which returns a data set; only PyTorch can call it. */
  | { kind: 'code'; reference: string };

export interface NoiseOrder {
  data: NoiseData;
  /** Samples of a small batch; `setup.batch` is the same number. */
  smallBatch: number;
  /** Small batches whose mean gradient is that of a big one. */
  parts: number;
  /** Pairs of norms to measure. */
  updates: number;
  /** Optimizer steps on small batches before anything is measured. */
  trainSteps: number;
  learningRate: number;
  seed: number;
}

/** A trial's request that measures gradient norms instead of timing steps. */
export interface NoiseTrial extends TrialRequest {
  noise: NoiseOrder;
}

const norm = z.number().nonnegative();

/** One line for each big batch, beside the trial reports on file descriptor 3. */
export const noiseLine = z.object({
  schema: z.literal('batchfit/noise-sample@1'),
  /** Squared norms of the small batches' gradients, and of their mean. */
  microSqNorms: z.array(norm).min(2),
  meanSqNorm: norm,
  loss: z.number(),
});

export type NoiseLine = z.infer<typeof noiseLine>;

/** Every valid line; a short, foreign or broken one is ignored. */
export function readNoiseLines(text: string): NoiseLine[] {
  return text.split('\n').flatMap((line) => {
    if (!line.startsWith('{')) return [];
    try {
      const parsed = noiseLine.safeParse(JSON.parse(line));
      return parsed.success ? [parsed.data] : [];
    } catch {
      return [];
    }
  });
}
