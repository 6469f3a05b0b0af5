/** Finds a program the way a shell would, so that a missing one is told before anything is started. */
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import { MissingError } from '../errors.js';

/** Absolute path of the program. Throws MissingError when it is not there or not executable. */
export function findProgram(name: string): string {
  const found = searchProgram(name);
  if (found) return found;
  throw new MissingError(
    'PROGRAM_MISSING',
    `program "${name}" was not found or is not executable`,
    'check the spelling, or give its full path',
  );
}

/** Absolute path of the program, or null. */
export function searchProgram(name: string): string | null {
  if (isAbsolute(name) || name.includes('/')) return isProgram(resolve(name)) ? resolve(name) : null;
  const endings = process.platform === 'win32' ? ['', ...(process.env.PATHEXT ?? '.EXE;.CMD;.BAT').split(';')] : [''];
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const ending of endings) {
      const path = join(folder || '.', name + ending);
      if (isProgram(path)) return resolve(path);
    }
  }
  return null;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
