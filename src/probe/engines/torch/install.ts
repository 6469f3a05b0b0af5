/** `batchfit engines install torch`: PyTorch in a virtual environment of its own, in the user's data folder. */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { MissingError } from '../../../errors.js';
import { runChild } from '../../child.js';
import { searchProgram } from '../../program.js';
import { lockFolder } from '../tfjs/lock.js';
import { pythonOfEnvironment, torchFolder } from './python.js';

/** The release that the engine is tested with. */
export const TORCH_VERSION = '2.13.0';

const INSTALL_SECONDS = 3600;

export interface TorchInstallation {
  folder: string;
  python: string;
  version: string;
  alreadyThere: boolean;
}

/**
 * An environment cannot be moved, so it is made in its place; one that does not import torch is made anew. Throws
 * MissingError when Python, its venv module or the package cannot be had.
 */
export async function installTorch(options: { onProgress: (text: string) => void; signal: AbortSignal }): Promise<TorchInstallation> {
  const folder = torchFolder();
  await mkdir(dirname(folder), { recursive: true });
  const unlock = await lockFolder(`${folder}.lock`);
  try {
    return await install(folder, options);
  } finally {
    await unlock();
  }
}

async function install(folder: string, options: { onProgress: (text: string) => void; signal: AbortSignal }): Promise<TorchInstallation> {
  const python = pythonOfEnvironment(folder);
  const there = await importTorch(python, options.signal);
  if (there) return { folder, python, version: there, alreadyThere: true };
  const base = searchProgram('python3') ?? searchProgram('python');
  if (!base) throw new MissingError('PYTHON_MISSING', 'python3 was not found on PATH', 'install Python 3.10 or later with pip and venv');
  options.onProgress('making a Python environment');
  await run([base, '-m', 'venv', '--clear', folder], 'install the venv module (Debian: apt-get install python3-venv)', options.signal);
  options.onProgress(`installing torch ${TORCH_VERSION}`);
  const pip: [string, ...string[]] = [python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
  await run([...pip, `torch==${TORCH_VERSION}`, 'numpy'], 'check that pip reaches its package index', options.signal);
  const version = await importTorch(python, options.signal);
  if (version) return { folder, python, version, alreadyThere: false };
  throw new MissingError(
    'INSTALL_FAILED',
    `torch ${TORCH_VERSION} is in ${folder} and does not import`,
    `see why: ${python} -c "import torch"`,
  );
}

async function importTorch(python: string, signal: AbortSignal): Promise<string | null> {
  if (!searchProgram(python)) return null;
  const child = await runChild({
    command: [python, '-c', 'import torch; print(torch.__version__)'],
    timeoutSeconds: 120,
    memoryCapBytes: null,
    signal,
  });
  return child.exitCode === 0 ? child.stdout.trim() : null;
}

async function run(command: [string, ...string[]], hint: string, signal: AbortSignal): Promise<void> {
  const child = await runChild({ command, timeoutSeconds: INSTALL_SECONDS, memoryCapBytes: null, signal });
  if (child.exitCode === 0) return;
  const line =
    child.stderr
      .trim()
      .split('\n')
      .findLast((each) => /error/i.test(each)) ?? child.stderr.trim().split('\n').at(-1);
  throw new MissingError('INSTALL_FAILED', `${command.slice(1, 4).join(' ')} failed: ${line || `exit code ${child.exitCode}`}`, hint);
}
