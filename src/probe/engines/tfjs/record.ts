/** The note that an installation leaves about itself: what was installed and by which way. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

/**
 * `package`: the addon and libtensorflow that the package itself downloads. `wheel`: the addon compiled here against the
 * libraries of a TensorFlow wheel. `javascript`: no native library at all.
 */
export const installationRecord = z.object({
  schema: z.literal('batchfit/engine@1'),
  name: z.literal('tfjs'),
  flavor: z.enum(['tfjs-node-gpu', 'tfjs-node', 'tfjs']),
  way: z.enum(['package', 'wheel', 'javascript']),
  versions: z.record(z.string(), z.string()),
});

export type InstallationRecord = z.infer<typeof installationRecord>;

export const RECORD_FILE = 'engine.json';

/** The record in a folder; null when there is none, or one that this version does not understand. */
export async function readRecord(folder: string): Promise<InstallationRecord | null> {
  try {
    const parsed = installationRecord.safeParse(JSON.parse(await readFile(join(folder, RECORD_FILE), 'utf8')));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
