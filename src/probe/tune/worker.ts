/** The Python worker that keeps a study in Optuna: JSON lines on its input, one answer a line on file descriptor 3. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { UndeterminedError } from '../../errors.js';

const SCRIPT = fileURLToPath(new URL('./optuna_worker.py', import.meta.url));
const PROTOCOL = 'batchfit/tune@1';
const TAIL_CHARACTERS = 4000;

const reply = z.object({
  protocol: z.literal(PROTOCOL),
  id: z.number().int(),
  result: z.unknown().optional(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
});

/** What the worker refused or could not do; `code` is its own or Python's name of the error. */
export class WorkerError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export interface Worker {
  /** Rejects with WorkerError for what the worker answers, UndeterminedError when it is gone. */
  call<T>(operation: string, fields: Record<string, unknown>, schema: z.ZodType<T>): Promise<T>;
  /** Ends it after it has told the storage of trials that were not finished. */
  close(): Promise<void>;
}

/** A process group of its own keeps it from the terminal's Ctrl-C; it ends when its input does, so also with this process. */
export function startWorker(python: string): Worker {
  const child = spawn(python, [SCRIPT], {
    stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
    detached: process.platform !== 'win32',
    windowsHide: true,
  });
  const [input, , errors, answers] = child.stdio as [Writable, null, Readable, Readable, ...unknown[]];
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  let next = 0;
  let said = '';
  input.on('error', () => {}); // Its end is told by 'close'.
  errors.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-TAIL_CHARACTERS);
  });
  createInterface({ input: answers }).on('line', (line) => {
    const { id, result, error } = reply.parse(JSON.parse(line));
    const caller = waiting.get(id);
    waiting.delete(id);
    if (error) caller?.reject(new WorkerError(error.code, error.message));
    else caller?.resolve(result);
  });
  const gone = endOf(child).then((how) => {
    const line = said.trim().split('\n').at(-1);
    const error = new UndeterminedError(
      'OPTUNA_GONE',
      `the worker that keeps the study ended: ${line || how}`,
      'run it again: the study is in its storage',
    );
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
    return error;
  });
  let over: Error | null = null;
  void gone.then((error) => {
    over = error;
  });
  return {
    async call(operation, fields, schema) {
      if (over) throw over;
      const id = next++;
      const result = new Promise<unknown>((resolve, reject) => waiting.set(id, { resolve, reject }));
      input.write(`${JSON.stringify({ id, operation, ...fields })}\n`);
      return schema.parse(await result);
    },
    async close() {
      input.end();
      await gone;
    },
  };
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(signal ? `ended by ${signal}` : `exit code ${code}`));
  });
}
