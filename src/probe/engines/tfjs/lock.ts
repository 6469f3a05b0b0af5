/** One installation at a time. */
import { open, readFile, rm } from 'node:fs/promises';
import { UndeterminedError } from '../../../errors.js';

/** Makes the lock file; the returned function removes it. Throws when another live process holds it. */
export async function lockFolder(file: string): Promise<() => Promise<void>> {
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      const handle = await open(file, 'wx');
      await handle.writeFile(String(process.pid));
      await handle.close();
      return () => rm(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const owner = Number(await readFile(file, 'utf8').catch(() => ''));
      if (owner > 0 && isAlive(owner)) {
        throw new UndeterminedError('ENGINE_BUSY', `process ${owner} is installing this engine`, 'wait until it is done, then try again');
      }
      // Its owner was killed.
      await rm(file, { force: true });
    }
  }
  throw new UndeterminedError('ENGINE_BUSY', `${file} cannot be taken`, 'remove that file when no other installation runs');
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
