/** The JSON contract: what every document carries, and how a failure is one too. */

import { accessSync, constants, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UsageError, type Warning } from '../errors.js';

/** A command's answer with what every document carries: its schema's name, the package's version and the warnings. */
export function toDocument(
  command: string,
  version: string,
  answer: Record<string, unknown>,
  warnings: Warning[],
): Record<string, unknown> {
  return { schema: `batchfit/${command}@1`, version, ...answer, warnings };
}

/** One document as text. Figures that JSON cannot hold are a bug, so they throw instead of turning into null. */
export function toJson(document: unknown): string {
  return `${JSON.stringify(document, refuseNonFinite, 2)}\n`;
}

function refuseNonFinite(key: string, value: unknown): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new RangeError(`the figure "${key}" is ${value}`);
  return value;
}

/** Throws UsageError when `path` cannot become a file, so that a long run is not lost at its end. */
export function assertWritable(path: string, field: string): void {
  const refuse = (found: string) => {
    throw new UsageError(
      'BAD_OUTPUT',
      `${field}: expected a file that can be written, found ${path}: ${found}`,
      'name a file in a folder that exists',
    );
  };
  if (path === '') refuse('an empty name');
  try {
    accessSync(dirname(path), constants.W_OK);
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) refuse('a folder');
  } catch (error) {
    if (error instanceof UsageError) throw error;
    refuse(reasonOf(error));
  }
}

/** Writes a document or page. Throws UsageError naming `field` and the reason when the disk refuses. */
export async function writeOutput(path: string, content: string, field: string): Promise<void> {
  try {
    await writeFile(path, content);
  } catch (error) {
    throw new UsageError('BAD_OUTPUT', `${field}: could not write ${path}: ${reasonOf(error)}`, 'name another file, or free some space', {
      cause: error,
    });
  }
}

function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' ? 'its folder does not exist' : code === 'EACCES' ? 'no permission' : (code ?? String(error));
}
