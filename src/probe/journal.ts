/** Every trial is written down when it ends, so that neither Ctrl-C nor a crash loses what was measured. */
import { createHash } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { dataFolder } from './data-folder.js';
import { ENGINE_NAMES, type EngineName, type TrialRequest, type TrialResult } from './engine.js';

const count = z.number().nonnegative();

const entry = z.object({
  schema: z.literal('batchfit/trial@1'),
  batch: z.number().int().positive(),
  outcome: z.enum(['fits', 'oom', 'timeout', 'crash', 'unsupported']),
  evidence: z.string(),
  peakBytes: count.nullable(),
  reservedBytes: count.nullable(),
  deviceBytes: count.nullable(),
  processPeakBytes: count.nullable(),
  stepSeconds: z.array(count),
  samplesPerSecond: count.nullable(),
  device: z.object({ kind: z.string(), name: z.string().nullable(), backend: z.string(), totalBytes: count.nullable() }).nullable(),
  seconds: count,
  warnings: z.array(z.object({ code: z.string(), message: z.string(), hint: z.string() })),
});

export interface Journal {
  path: string;
  /** Trials of an earlier probe of the same thing. */
  read(): TrialResult[];
  /** Forgets earlier trials. */
  clear(): void;
  add(trial: TrialResult): void;
}

/** The journal of everything that decides a trial's outcome beside the batch. */
export function openJournal(engine: EngineName, request: TrialRequest): Journal {
  if (!ENGINE_NAMES.includes(engine)) throw new RangeError(`no engine ${engine}`);
  const key = JSON.stringify([engine, { ...request, setup: { ...request.setup, batch: 0 }, timeoutSeconds: 0 }]);
  const name = createHash('sha256').update(key).digest('hex').slice(0, 24);
  const path = join(dataFolder(), 'probes', `${engine}-${name}.jsonl`);
  return {
    path,
    read: () => readEntries(path),
    clear: () => rmSync(path, { force: true }),
    add(trial) {
      mkdirSync(dirname(path), { recursive: true });
      appendFileSync(path, `${JSON.stringify({ schema: 'batchfit/trial@1', ...trial })}\n`);
    },
  };
}

function readEntries(path: string): TrialResult[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  return text.split('\n').flatMap((line) => {
    try {
      const { schema: _, ...trial } = entry.parse(JSON.parse(line));
      return [trial];
    } catch {
      return []; // a line cut short, or of another version
    }
  });
}
