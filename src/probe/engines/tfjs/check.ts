/** Loads a TensorFlow.js package in a child of its own, to see whether it works here and on what it runs. */
import { existsSync, readdirSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ChildResult, runChild } from '../../child.js';
import { readReport } from '../../report.js';
import type { Candidate } from './locate.js';
import type { ChildOrder } from './order.js';

const LOAD_SECONDS = 60;

/** The compiled child; beside this file, or in dist/ when the sources themselves are run (by the tests). */
const CHILD = fileURLToPath(new URL('./child.js', import.meta.url)).replace(
  /src([\\/]probe[\\/]engines[\\/]tfjs[\\/]child\.js)$/,
  'dist$1',
);

const ENVIRONMENT: Record<string, string> = {
  // TensorFlow reports its own loading on stderr; what goes wrong still comes through.
  TF_CPP_MIN_LOG_LEVEL: '2',
  // With an arena for each of TensorFlow's threads the peak depends on which thread ran what.
  MALLOC_ARENA_MAX: '1',
  // Without it TensorFlow takes the whole card at once, and its use could not be read.
  TF_FORCE_GPU_ALLOW_GROWTH: 'true',
};

/** Environment of a child that loads this package. */
export function childEnvironment(candidate: Candidate): Record<string, string> {
  const folders = cudaFolders(join(dirname(candidate.entry), '..', 'deps', 'site', 'nvidia'));
  if (folders.length === 0) return ENVIRONMENT;
  const path = [...folders, process.env.LD_LIBRARY_PATH].filter(Boolean).join(delimiter);
  return { ...ENVIRONMENT, LD_LIBRARY_PATH: path };
}

/** The CUDA libraries that `engines install` put beside the addon: TensorFlow opens them by name alone. */
function cudaFolders(root: string): string[] {
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .map((library) => join(root, library, 'lib'))
    .filter((folder) => existsSync(folder));
}

export function childCommand(): [string, ...string[]] {
  return [process.execPath, CHILD];
}

export type LoadCheck =
  | { works: true; device: string; backend: string }
  /** One line of why. */
  | { works: false; reason: string };

export async function checkCandidate(candidate: Candidate, signal: AbortSignal = new AbortController().signal): Promise<LoadCheck> {
  const order: ChildOrder = { flavor: candidate.flavor, entry: candidate.entry, graph: null };
  const child = await runChild({
    command: childCommand(),
    environment: childEnvironment(candidate),
    input: JSON.stringify(order),
    timeoutSeconds: LOAD_SECONDS,
    memoryCapBytes: null,
    signal,
  });
  const report = readReport(child.reportText);
  if (report?.status === 'done' && report.device) return { works: true, device: report.device.kind, backend: report.device.backend };
  return { works: false, reason: report?.error ?? whatItSaid(child) };
}

function whatItSaid(child: ChildResult): string {
  const line = child.stderr.trim().split('\n').at(-1)?.trim();
  const ending = child.signal ? `ended by ${child.signal}` : `exit code ${child.exitCode}`;
  if (child.timedOut) return `it did not load within ${LOAD_SECONDS} seconds`;
  return line ? `${ending}: ${line}` : ending;
}
