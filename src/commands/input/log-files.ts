/** Finds the files of a training log: the file itself, or those in a run's folder. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { UsageError } from '../../errors.js';
import type { EventFile } from '../../plan/diagnose/readers/index.js';

const EXPECTED = 'name a trainer_state.json, metrics.csv, CSV, JSON lines or event file, or a folder that holds one';
/** Names that a run's folder may hold, the first that is there wins. */
const NAMED = ['trainer_state.json', 'metrics.csv', 'log.txt', 'log.csv', 'training.log'];
const EVENTS = /tfevents/;

/** One file, or all event files of a folder. Throws UsageError when there is nothing to read. */
export async function readLogFiles(path: string): Promise<EventFile[]> {
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError('BAD_LOG', `${path}: could not be read: ${error.code === 'ENOENT' ? 'no such file' : error.code}`, EXPECTED);
  });
  if (!info.isDirectory()) return [await readOne(path, path)];
  const names = (await readdir(path, { recursive: true })).sort();
  const events = names.filter((name) => EVENTS.test(name));
  const named = NAMED.flatMap((wanted) => names.filter((name) => name.split(/[\\/]/).at(-1) === wanted));
  // The last of several checkpoints or versions is the newest.
  const file =
    named.length > 0
      ? named
          .filter((name) => name.endsWith(named[0]!.split(/[\\/]/).at(-1)!))
          .sort(byNumber)
          .at(-1)!
      : null;
  if (file !== null) return [await readOne(join(path, file), file)];
  if (events.length === 0) throw new UsageError('BAD_LOG', `${path}: the folder holds no log`, EXPECTED);
  return Promise.all(events.map((name) => readOne(join(path, name), relative(path, join(path, name)).replaceAll('\\', '/'))));
}

const byNumber = (a: string, b: string) => a.localeCompare(b, 'en', { numeric: true });

async function readOne(path: string, name: string): Promise<EventFile> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError('BAD_LOG', `${path}: could not be read: ${error.code}`, EXPECTED);
  });
  return { path: name, bytes: new Uint8Array(bytes) };
}
