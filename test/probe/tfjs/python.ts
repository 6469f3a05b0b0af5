/** The Python that has PyTorch: the installed engine's, else the one on PATH. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { engineFolder } from '../../../src/probe/engines/tfjs/folder.js';

let found: string | undefined;

/** Fails the test when there is none. */
export function pythonWithTorch(): string {
  found ??= [join(dirname(engineFolder('tfjs')), 'torch', 'bin', 'python'), 'python3'].find(hasTorch);
  if (!found) throw new Error('these tests need PyTorch: run batchfit engines install torch');
  return found;
}

function hasTorch(python: string): boolean {
  if (python.includes('/') && !existsSync(python)) return false;
  const found = spawnSync(python, ['-c', 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)'], { stdio: 'ignore' });
  return found.status === 0;
}
