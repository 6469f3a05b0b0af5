/**
 * What a trial's child tells its parent: JSON lines on file descriptor 3, each one versioned struct. The last valid line
 * counts; a short, foreign or broken line is ignored, so a child that dies in mid-write is not misread.
 */
import { z } from 'zod';

const count = z.number().int().nonnegative().nullable().default(null);

export const trialReport = z.object({
  schema: z.literal('batchfit/trial-report@1'),
  /**
   * `running` is sent when the device is known and at the start of each phase, so that a killed child has said how far
   * it came; `done` after all steps; `oom`, `unsupported` and `error` end a trial with `error` set.
   */
  status: z.enum(['running', 'done', 'oom', 'unsupported', 'error']),
  /** "import", "build", "forward", "backward", "optimizer", "step 3" ... */
  phase: z.string().nullable().default(null),
  /** The framework's own error line for `oom`, `unsupported` and `error`. */
  error: z.string().nullable().default(null),
  device: z
    .object({
      kind: z.string(),
      name: z.string().nullable().default(null),
      backend: z.string(),
      totalBytes: count,
    })
    .nullable()
    .default(null),
  peakBytes: count,
  reservedBytes: count,
  deviceBytes: count,
  /** The child's own VmHWM or ru_maxrss, in bytes. */
  processPeakBytes: count,
  stepSeconds: z.array(z.number().positive()).default([]),
  warnings: z.array(z.object({ code: z.string(), message: z.string(), hint: z.string() })).default([]),
});

export type TrialReport = z.infer<typeof trialReport>;

/** The last valid report in what came through the descriptor, or null. */
export function readReport(text: string): TrialReport | null {
  let report: TrialReport | null = null;
  for (const line of text.split('\n')) {
    if (!line.startsWith('{')) continue;
    try {
      const parsed = trialReport.safeParse(JSON.parse(line));
      if (parsed.success) report = parsed.data;
    } catch {
      // A line cut short by the child's death: what came before it still counts.
    }
  }
  return report;
}
