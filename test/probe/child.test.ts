import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeMemoryCgroup, removeMemoryCgroup } from '../../src/probe/cgroup.js';
import { type ChildRequest, runChild } from '../../src/probe/child.js';
import type { Engine, TrialRequest, TrialResult } from '../../src/probe/engine.js';
import { createCommandEngine } from '../../src/probe/engines/command/engine.js';
import { probeBatch } from '../../src/probe/probe.js';
import { DEFAULT_SETUP } from '../../src/setup.js';
import { MIB } from '../../src/units.js';

const PYTHON = 'python3';
const signal = new AbortController().signal;
const child = (command: [string, ...string[]], some: Partial<ChildRequest> = {}) =>
  runChild({ command, timeoutSeconds: 60, memoryCapBytes: null, signal, ...some });
/** A zombie is over: only its parent has not asked yet. */
/** A kill takes a moment to arrive. */
async function expectGone(pid: number): Promise<void> {
  await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false);
}

function isAlive(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
const canCap = () => {
  const group = makeMemoryCgroup(64 * MIB);
  return 'directory' in group && removeMemoryCgroup(group);
};

const data = mkdtempSync(join(tmpdir(), 'batchfit-data-'));
const before = process.env.XDG_DATA_HOME;
beforeAll(() => {
  process.env.XDG_DATA_HOME = data;
});
afterAll(() => {
  if (before === undefined) delete process.env.XDG_DATA_HOME;
  else process.env.XDG_DATA_HOME = before;
  rmSync(data, { recursive: true, force: true });
});

describe('runChild', () => {
  it('gives input, streams, exit code and what came through descriptor 3', async () => {
    const result = await child(['/bin/sh', '-c', 'cat; echo problem >&2; echo report >&3; exit 7'], { input: 'hello' });
    expect(result).toMatchObject({
      exitCode: 7,
      signal: null,
      timedOut: false,
      stdout: 'hello',
      stderr: 'problem\n',
      reportText: 'report\n',
    });
  });

  it('says which program is missing', async () => {
    await expect(child(['no-such-program-here'])).rejects.toMatchObject({ code: 'PROGRAM_MISSING', exitCode: 3 });
  });

  it('ends a child that takes too long, and what the child started', async () => {
    const result = await child(['/bin/sh', '-c', 'sleep 300 & echo $!; wait'], { timeoutSeconds: 0.3 });
    expect(result.timedOut).toBe(true);
    await expectGone(Number(result.stdout));
  });

  it('leaves nothing behind of a child that exits by itself', async () => {
    const result = await child(['/bin/sh', '-c', 'sleep 300 & echo $!']);
    expect(result.exitCode).toBe(0);
    await expectGone(Number(result.stdout));
  });

  it('ends the child when it is aborted, and rejects with the reason', async () => {
    const controller = new AbortController();
    const running = child(['/bin/sh', '-c', 'sleep 300'], { signal: controller.signal });
    setTimeout(() => controller.abort(new Error('enough')), 100);
    await expect(running).rejects.toThrow('enough');
  });

  it('measures the whole tree of processes', async () => {
    const hold = 'import time; held = bytearray(60 << 20); time.sleep(1)';
    const result = await child(['/bin/sh', '-c', `${PYTHON} -c '${hold}' & ${PYTHON} -c '${hold}'; wait`]);
    expect(result.processPeakBytes).toBeGreaterThan(120 * MIB);
  });

  it('caps memory: by a cgroup whose kills are counted, else by a limit that is named', async () => {
    const result = await child([PYTHON, '-c', 'held = bytearray(300 << 20); print(len(held))'], { memoryCapBytes: 128 * MIB });
    expect(result.exitCode).not.toBe(0);
    if (canCap()) {
      expect(result).toMatchObject({ signal: 'SIGKILL', oomKills: { inChild: 1 }, warnings: [], cap: { kind: 'cgroup' } });
      expect(existsSync(result.cap.cgroup!.directory)).toBe(false);
    } else {
      expect(result.stderr).toContain('MemoryError');
      expect(result.warnings[0]?.code).toBe('NO_MEMORY_CGROUP');
    }
  });
});

const request = (command: string[]): TrialRequest => ({
  model: { kind: 'command', command },
  sizes: {},
  setup: { ...DEFAULT_SETUP },
  device: null,
  steps: 1,
  warmupSteps: 0,
  timeoutSeconds: 60,
  memoryCapBytes: null,
});
const trial = (command: string[], batch = 4) =>
  createCommandEngine().runTrial({ ...request(command), setup: { ...DEFAULT_SETUP, batch } }, signal);

describe('the command engine', () => {
  it('tells the command its batch, in its words and in BATCHFIT_BATCH', async () => {
    const script = 'test "$1" = --batch=12 && test "$BATCHFIT_BATCH" = 12';
    expect(await trial(['/bin/sh', '-c', script, 'sh', '--batch={batch}'], 12)).toMatchObject({ batch: 12, outcome: 'fits' });
  });

  it('reads what the command says of itself, the last line of all', async () => {
    const script =
      'echo \'BATCHFIT {"peakBytes": 1}\'; echo BATCHFIT nonsense; echo \'BATCHFIT {"peakBytes": 1024, "samplesPerSecond": 2.5}\'';
    expect(await trial(['/bin/sh', '-c', script])).toMatchObject({ peakBytes: 1024, samplesPerSecond: 2.5 });
  });

  it('tells a memory error from a crash', async () => {
    expect(await trial([PYTHON, '-c', 'raise MemoryError'])).toMatchObject({ outcome: 'oom' });
    expect(await trial([PYTHON, '-c', 'raise ValueError("bad lr")'])).toMatchObject({
      outcome: 'crash',
      evidence: 'exit code 1: ValueError: bad lr',
    });
  });

  it('warns of a command that survives its own memory error', async () => {
    const result = await trial(['/bin/sh', '-c', 'echo "CUDA out of memory, skipping batch"']);
    expect(result).toMatchObject({ outcome: 'fits', warnings: [{ code: 'RECOVERED_FROM_OOM' }] });
  });
});

describe('probeBatch', () => {
  const result = (batch: number): TrialResult => ({
    batch,
    outcome: batch <= 20 ? 'fits' : 'oom',
    evidence: 'made up',
    peakBytes: 1000 + 10 * batch,
    reservedBytes: null,
    deviceBytes: null,
    processPeakBytes: null,
    stepSeconds: [batch < 8 ? 1 : batch / 8],
    samplesPerSecond: null,
    device: null,
    seconds: 1,
    warnings: [],
  });
  const engine = (onRun: (batch: number) => void): Engine => ({
    name: 'command',
    status: async () => ({ name: 'command', status: 'ready', version: null, device: null, reason: '' }),
    runTrial: async ({ setup }) => {
      onRun(setup.batch);
      return result(setup.batch);
    },
  });
  const limits = { maxBatch: 1000, timeLimitSeconds: 60, resume: false, curve: false };

  it('adds a curve, its knee and the line through the peaks', async () => {
    const found = await probeBatch({
      engine: engine(() => {}),
      request: request(['curve']),
      start: 16,
      limits: { ...limits, curve: true },
      signal,
    });
    expect(found).toMatchObject({ largest: 20, verdict: 'verified', calibration: { fixedBytes: 1000, perSampleBytes: 10 } });
    expect(found.throughput.points.map(({ batch }) => batch)).toEqual(expect.arrayContaining([1, 2, 4, 8, 16, 20]));
    expect(found.throughput.knee).toEqual({ batch: 8 });
  });

  it('keeps what was measured when it is interrupted, and resumes from there', async () => {
    const controller = new AbortController();
    const first: number[] = [];
    const broken = engine((batch) => {
      first.push(batch);
      if (first.length === 3) controller.abort(new Error('Ctrl-C'));
    });
    const input = { request: request(['resume']), start: 16, limits, signal: controller.signal };
    const partial = await probeBatch({ ...input, engine: broken });
    expect(partial).toMatchObject({ interrupted: true, verdict: 'inconclusive', reason: 'interrupted' });
    expect(partial.trials.map(({ batch }) => batch)).toEqual(first);

    const second: number[] = [];
    const whole = await probeBatch({
      ...input,
      engine: engine((batch) => second.push(batch)),
      limits: { ...limits, resume: true },
      signal,
    });
    expect(whole).toMatchObject({ largest: 20, verdict: 'verified', interrupted: false });
    expect(second.filter((batch) => first.includes(batch))).toEqual([]);
    expect(whole.trials.length).toBe(first.length + second.length);
  });

  it('stops at its time limit without an answer that it does not have', async () => {
    const found = await probeBatch({
      engine: engine(() => {}),
      request: request(['late']),
      start: 16,
      limits: { ...limits, timeLimitSeconds: 0 },
      signal,
    });
    expect(found).toMatchObject({ largest: null, verdict: 'inconclusive', reason: 'the time limit was reached' });
  });
});
