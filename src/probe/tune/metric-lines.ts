/** What a training command says while it runs: `BATCHFIT {"metric": X, "step": N}`, one line each, on standard output. */
import { z } from 'zod';

/** Python writes NaN and Infinity, which JSON does not have: they arrive as null. */
const said = z.object({ metric: z.number().nullable(), step: z.number().nonnegative().optional() });

export interface MetricLine {
  /** null when it is not a finite number. */
  metric: number | null;
  /** As said, rounded down; else the line's count from 0. */
  step: number;
}

/** Feeds on output in pieces of any length; each whole line that is one of ours goes to `onLine`, anything else is ignored. */
export function createMetricReader(onLine: (line: MetricLine) => void): { feed(text: string): void; end(): void } {
  let rest = '';
  let count = 0;
  const read = (line: string) => {
    const text = /^BATCHFIT (\{.*\})\s*$/.exec(line)?.[1];
    const parsed = text === undefined ? null : parse(text);
    if (parsed === null) return;
    onLine({ metric: parsed.metric, step: Math.floor(parsed.step ?? count) });
    count++;
  };
  return {
    feed(text) {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) read(line);
    },
    /** A last line without its end counts too. */
    end() {
      read(rest);
      rest = '';
    },
  };
}

function parse(text: string): z.infer<typeof said> | null {
  try {
    const parsed = said.safeParse(JSON.parse(text.replace(/(:\s*)(NaN|-?Infinity)\b/g, '$1null')));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
