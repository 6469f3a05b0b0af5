/** A virtual environment of Python with what one purpose needs, in the user's data folder. */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { MissingError } from '../errors.js';
import { runChild } from './child.js';
import { lockFolder } from './engines/tfjs/lock.js';
import { pythonOfEnvironment } from './engines/torch/python.js';
import { searchProgram } from './program.js';

export interface EnvironmentRequest {
  folder: string;
  /** The module that must import. */
  module: string;
  /** What pip installs, the package of `module` first. */
  requirements: string[];
}

export interface Environment {
  folder: string;
  python: string;
  /** Of the module. */
  version: string;
  alreadyThere: boolean;
}

interface Options {
  onProgress: (text: string) => void;
  signal: AbortSignal;
}

const INSTALL_SECONDS = 3600;
const IMPORT_SECONDS = 120;

/**
 * An environment cannot be moved, so it is made in its place; one that does not import its module is made anew. Throws
 * MissingError when Python, its venv module or a package cannot be had.
 */
export async function installEnvironment(request: EnvironmentRequest, options: Options): Promise<Environment> {
  await mkdir(dirname(request.folder), { recursive: true });
  const unlock = await lockFolder(`${request.folder}.lock`);
  try {
    return await install(request, options);
  } finally {
    await unlock();
  }
}

/** The version of a module as this Python imports it; null where it does not. */
export async function importVersion(python: string, module: string, signal: AbortSignal): Promise<string | null> {
  if (!searchProgram(python)) return null;
  const child = await runChild({
    command: [python, '-c', `import ${module}; print(${module}.__version__)`],
    timeoutSeconds: IMPORT_SECONDS,
    memoryCapBytes: null,
    signal,
  });
  return child.exitCode === 0 ? child.stdout.trim() : null;
}

async function install({ folder, module, requirements }: EnvironmentRequest, { onProgress, signal }: Options): Promise<Environment> {
  const python = pythonOfEnvironment(folder);
  const there = await importVersion(python, module, signal);
  if (there) return { folder, python, version: there, alreadyThere: true };
  const base = searchProgram('python3') ?? searchProgram('python');
  if (!base) throw new MissingError('PYTHON_MISSING', 'python3 was not found on PATH', 'install Python 3.10 or later with pip and venv');
  onProgress('making a Python environment');
  await run([base, '-m', 'venv', '--clear', folder], 'install the venv module (Debian: apt-get install python3-venv)', signal);
  onProgress(`installing ${requirements[0]!.replace('==', ' ')}`);
  const pip: [string, ...string[]] = [python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
  await run([...pip, ...requirements], 'check that pip reaches its package index', signal);
  const version = await importVersion(python, module, signal);
  if (version) return { folder, python, version, alreadyThere: false };
  throw new MissingError(
    'INSTALL_FAILED',
    `${requirements[0]} is in ${folder} and does not import`,
    `see why: ${python} -c "import ${module}"`,
  );
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
