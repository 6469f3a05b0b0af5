/** Finds a Python that has PyTorch: the user's own before the one that `engines install torch` made. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { runChild } from '../../child.js';
import { dataFolder } from '../../data-folder.js';
import { searchProgram } from '../../program.js';

export interface Python {
  path: string;
  /** How it was found: "BATCHFIT_PYTHON", "the active environment" ... */
  origin: string;
}

export interface TorchCheck {
  python: Python;
  torch: string;
  /** Best device that this torch can use: "cuda", "rocm", "mps" or "cpu". */
  device: string;
}

const answer = z.object({ torch: z.string(), device: z.string() });

const CHECK_SECONDS = 120;
const CHECK = `
import json, torch
cuda = torch.cuda.is_available()
mps = getattr(torch.backends, "mps", None) is not None and torch.backends.mps.is_available()
device = ("rocm" if torch.version.hip else "cuda") if cuda else "mps" if mps else "cpu"
print(json.dumps({"torch": torch.__version__, "device": device}))
`;

/** Where \`engines install torch\` puts its environment. */
export function torchFolder(): string {
  return join(dataFolder(), 'engines', 'torch');
}

export function pythonOfEnvironment(folder: string): string {
  return process.platform === 'win32' ? join(folder, 'Scripts', 'python.exe') : join(folder, 'bin', 'python');
}

/** Every Python to try, in the order in which a user would expect it. */
export function pythonCandidates(): Python[] {
  const named = process.env.BATCHFIT_PYTHON;
  // Who names an interpreter means that one and no other.
  if (named) return [{ path: searchProgram(named) ?? named, origin: 'BATCHFIT_PYTHON' }];
  const active = process.env.VIRTUAL_ENV ?? process.env.CONDA_PREFIX;
  const found: (Python | null)[] = [
    active ? { path: pythonOfEnvironment(active), origin: 'the active environment' } : null,
    ...['python3', 'python'].map((name) => {
      const path = searchProgram(name);
      return path ? { path, origin: `${name} on PATH` } : null;
    }),
    { path: pythonOfEnvironment(torchFolder()), origin: 'batchfit engines install torch' },
  ];
  const there = found.filter((python): python is Python => python !== null && existsSync(python.path));
  return there.filter((python, index) => there.findIndex(({ path }) => path === python.path) === index);
}

/** The first candidate that imports torch; else why none does. */
export async function findTorch(signal: AbortSignal): Promise<TorchCheck | { reasons: string[] }> {
  const reasons: string[] = [];
  for (const python of pythonCandidates()) {
    const check = await checkTorch(python, signal);
    if ('torch' in check) return check;
    reasons.push(`${python.path} (${python.origin}): ${check.reason}`);
  }
  return { reasons };
}

async function checkTorch(python: Python, signal: AbortSignal): Promise<TorchCheck | { reason: string }> {
  try {
    const child = await runChild({
      command: [python.path, '-c', CHECK],
      timeoutSeconds: CHECK_SECONDS,
      memoryCapBytes: null,
      signal,
    });
    if (child.exitCode === 0) return { python, ...answer.parse(JSON.parse(child.stdout.trim().split('\n').at(-1) ?? '')) };
    return {
      reason: child.timedOut
        ? `no answer after ${CHECK_SECONDS} s`
        : (child.stderr.trim().split('\n').at(-1) ?? `exit code ${child.exitCode}`),
    };
  } catch (error) {
    signal.throwIfAborted();
    return { reason: (error as Error).message.split('\n')[0]! };
  }
}
