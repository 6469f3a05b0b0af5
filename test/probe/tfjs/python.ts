/** The Python that has PyTorch, looked for where the torch engine looks. */
import { spawnSync } from 'node:child_process';
import { pythonCandidates } from '../../../src/probe/engines/torch/python.js';

let found: string | undefined;

/** Fails the test when there is none. */
export function pythonWithTorch(): string {
  found ??= pythonCandidates().find(({ path }) => hasTorch(path))?.path;
  if (!found) throw new Error('these tests need PyTorch: run batchfit engines install torch');
  return found;
}

function hasTorch(python: string): boolean {
  const look = 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)';
  return spawnSync(python, ['-c', look], { stdio: 'ignore' }).status === 0;
}
