/** Runs the built program as a user's shell would. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const PROGRAM = fileURLToPath(new URL('../../bin/run.js', import.meta.url));

export interface RunOptions {
  cwd?: string;
  /** Laid over this process's environment; undefined takes a variable away. */
  env?: Record<string, string | undefined>;
  /** Called with the child's id once it has started, for tests that send it signals. */
  onStart?: (pid: number) => void;
}

export interface RunResult {
  stdout: string;
  stderr: string;
  /** null when a signal ended it. */
  exitCode: number | null;
}

/** `batchfit ...args`, without any BATCHFIT_* variable of the caller's own environment. */
export function batchfit(args: string[], options: RunOptions = {}): Promise<RunResult> {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('BATCHFIT_')));
  const env = { ...inherited, FORCE_COLOR: undefined, ...options.env };
  const child = spawn(process.execPath, [PROGRAM, ...args], { cwd: options.cwd ?? ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
  if (child.pid !== undefined) options.onStart?.(child.pid);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => (stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk) => (stderr += chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exitCode) => resolve({ stdout, stderr, exitCode }));
  });
}

/** The document that `batchfit ...args --json` prints, with its exit code. Throws when stdout holds anything else or it breaks its schema. */
export async function batchfitJson(
  args: string[],
  options: RunOptions = {},
): Promise<{ document: any; exitCode: number | null; stderr: string }> {
  const { stdout, stderr, exitCode } = await batchfit(withJson(args), options);
  const document = JSON.parse(stdout);
  assertSchema(document);
  return { document, exitCode, stderr };
}

/** The flag stands before `--`, behind which the words are a program's. */
function withJson(args: string[]): string[] {
  const end = args.indexOf('--');
  return end === -1 ? [...args, '--json'] : [...args.slice(0, end), '--json', ...args.slice(end)];
}

const ajv = new Ajv2020({ allErrors: true });

function assertSchema(document: { schema: string }): void {
  const name = /^batchfit\/(.*)@1$/.exec(document.schema)?.[1];
  const schema = JSON.parse(readFileSync(`${ROOT}/schemas/${name}.json`, 'utf8'));
  if (!ajv.validate(schema, document)) throw new Error(`${name} breaks its schema: ${ajv.errorsText()}`);
}
