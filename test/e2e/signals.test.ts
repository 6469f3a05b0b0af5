import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it, vi } from 'vitest';
import { batchfit, batchfitJson } from './run.js';

const folder = mkdtempSync(join(tmpdir(), 'batchfit-signals-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A command that waits for a tool which never answers, and gets the signal once the tool runs. */
function interrupt(signal: NodeJS.Signals, mark: string) {
  const started = join(folder, mark);
  writeFileSync(join(folder, 'nvidia-smi'), '#!/bin/sh\necho $$ > "$STARTED"\nexec sleep 60\n', { mode: 0o755 });
  return {
    env: { PATH: `${folder}:${process.env.PATH}`, STARTED: started },
    onStart: async (pid: number) => {
      await vi.waitFor(() => expect(existsSync(started)).toBe(true), { timeout: 60_000 });
      process.kill(pid, signal);
    },
  };
}

/** Whether the tool that wrote its pid is still there. */
function isRunning(mark: string): boolean {
  try {
    return process.kill(Number(readFileSync(join(folder, mark), 'utf8')), 0);
  } catch {
    return false;
  }
}

it.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s ends a command with %i, one document and no child left behind', async (signal, exitCode) => {
  const json = await batchfitJson(['doctor'], interrupt(signal, `${signal}-json`));
  expect(json).toMatchObject({ exitCode, document: { schema: 'batchfit/error@1', error: { code: 'INTERRUPTED' } } });
  await vi.waitFor(() => expect(isRunning(`${signal}-json`)).toBe(false), { timeout: 10_000 });
  const text = await batchfit(['doctor', '--quiet'], interrupt(signal, `${signal}-text`));
  expect(text).toEqual({ exitCode, stdout: '', stderr: `error: interrupted by ${signal}\n` });
});
