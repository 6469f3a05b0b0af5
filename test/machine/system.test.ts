import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { detectMachine } from '../../src/machine/detect.js';
import { thisSystem } from '../../src/machine/system.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'batchfit-tools-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function script(name: string, body: string, mode = 0o755): string {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${body}\n`, { mode });
  return path;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A killed process stays a zombie until its parent reaps it.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

describe('running a tool', () => {
  const { run } = thisSystem();

  it('returns what it printed and how it ended', async () => {
    expect(await run(script('fine', 'echo out; echo err >&2; exit 9'), [], 5000)).toEqual({
      stdout: 'out\n',
      stderr: 'err\n',
      exitCode: 9,
      error: null,
    });
  });

  it('tells a missing program from one that cannot start', async () => {
    expect(await run(join(folder, 'nowhere'), [], 5000)).toMatchObject({ exitCode: null, error: 'missing' });
    expect(await run('batchfit-has-no-such-tool', [], 5000)).toEqual({ stdout: '', stderr: '', exitCode: null, error: 'missing' });
    expect(await run(script('locked', 'exit 0', 0o644), [], 5000)).toMatchObject({ exitCode: null, error: 'unstartable' });
  });

  it('gives up on one that hangs and leaves nothing of it behind, its own children included', async () => {
    const pidFile = join(folder, 'pid');
    const hanging = script('hanging', `sleep 600 & echo $! > ${pidFile}; trap '' TERM; wait`);
    expect(await run(hanging, [], 400)).toMatchObject({ exitCode: null, error: 'timeout' });
    const grandchild = Number(readFileSync(pidFile, 'utf8'));
    for (let tries = 0; isAlive(grandchild) && tries < 50; tries++) await sleep(20);
    expect(isAlive(grandchild)).toBe(false);
  });

  it('survives more output than anyone needs', async () => {
    const { stdout, exitCode } = await run(script('chatty', 'head -c 20000000 /dev/zero | tr "\\0" x'), [], 20_000);
    expect(exitCode).toBe(0);
    expect(stdout.length).toBeLessThan(10_000_000);
  });
});

describe('this machine', () => {
  it('is detected with figures that hold together', async () => {
    const { host, devices, tools } = await detectMachine();
    expect(host.cpu.usableCores).toBeGreaterThanOrEqual(1);
    expect(host.cpu.usableCores).toBeLessThanOrEqual(host.cpu.logicalCores);
    expect(host.memory.limitBytes).toBeLessThanOrEqual(host.memory.totalBytes);
    expect(host.memory.availableBytes).toBeGreaterThan(0);
    expect(host.memory.availableBytes).toBeLessThanOrEqual(host.memory.limitBytes);
    expect(devices.at(-1)).toMatchObject({ id: 'cpu', kind: 'cpu', visible: true });
    expect(tools.every(({ name }) => name.length > 0)).toBe(true);
  });
});
