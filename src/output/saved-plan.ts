/** Reads a plan that `batchfit plan --save` or `--output` wrote. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { UsageError } from '../errors.js';
import { document } from './documents/plan.js';

const saved = document.extend({
  schema: z.literal('batchfit/plan@1'),
  version: z.string().optional(),
  warnings: z.array(z.object({ code: z.string(), message: z.string(), hint: z.string() })).optional(),
});

export type SavedPlan = z.infer<typeof saved>;

/** Throws UsageError naming the file and the field that is not a plan's. */
export async function readPlan(path: string): Promise<SavedPlan> {
  const hint = 'a plan is what "batchfit plan MODEL --save plan.json" writes';
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError('BAD_PLAN', `${path}: could not be read: ${error.code === 'ENOENT' ? 'no such file' : error.code}`, hint);
  });
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw new UsageError('BAD_PLAN', `${path}: not valid JSON`, hint);
  }
  const parsed = saved.safeParse(content);
  if (parsed.success) return parsed.data;
  const { path: place, message } = parsed.error.issues[0]!;
  const found = place.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown> | null)?.[key], content);
  const shown = JSON.stringify(found)?.slice(0, 60) ?? 'nothing';
  throw new UsageError(
    'BAD_PLAN',
    `${path}: ${place.join('.') || 'top level'}: ${message.replace('Invalid input: ', '')}${message.includes('received') ? '' : `, found ${shown}`}`,
    hint,
  );
}
