import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readModel } from '../../src/model/open.js';
import { runChild } from '../../src/probe/child.js';
import { createTorchEngine } from '../../src/probe/engines/torch/engine.js';
import { DEFAULT_SETUP } from '../../src/setup.js';
import { MIB } from '../../src/units.js';
import { batchfit, batchfitJson, ROOT } from './run.js';

const EXAMPLE = join(ROOT, 'examples', 'train_digits.py');
const signal = new AbortController().signal;
const folder = mkdtempSync(join(tmpdir(), 'batchfit-probe-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Batches around an answer, from far below to far above it. */
const around = (batch: number) =>
  [0.5, 0.8, 0.95].map((share) => Math.floor(batch * share)).concat(batch, batch + 1, Math.ceil(batch * 1.05), batch * 2);

/** The batches of the trials that run now, told by a mark in their command line. */
function runningTrials(mark: string): number[] {
  return readdirSync('/proc').flatMap((name) => {
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      const batch = Number(words.at(-2));
      return words.some((word) => word.includes(mark)) && batch > 0 ? [batch] : [];
    } catch {
      return []; // not a process, or gone already
    }
  });
}

describe('probe', () => {
  it("finds the largest batch of one's own command, as a sweep with the same cap confirms", { timeout: 300_000 }, async () => {
    const cap = 160 * MIB;
    const { document, exitCode } = await batchfitJson([
      'probe',
      '--engine',
      'command',
      '--memory-cap',
      String(cap),
      '--',
      'python3',
      EXAMPLE,
      '--batch',
      '{batch}',
    ]);
    expect(exitCode).toBe(0);
    const found = document.largest.batch;
    expect(document).toMatchObject({ verdict: 'verified', smallestFailing: { batch: found + 1, outcome: 'oom' } });
    expect(document.calibration.perSampleBytes / MIB).toBeCloseTo(1, 1);
    expect(document.trials.some((trial: any) => trial.outcome === 'oom')).toBe(true);
    for (const batch of around(found)) {
      const { exitCode } = await runChild({
        command: ['python3', EXAMPLE, '--batch', String(batch)],
        timeoutSeconds: 60,
        memoryCapBytes: cap,
        signal,
      });
      expect({ batch, fits: exitCode === 0 }).toEqual({ batch, fits: batch <= found });
    }
  });

  it('finds the largest batch that PyTorch trains, as a sweep with the same cap confirms', { timeout: 900_000 }, async () => {
    const cap = 448 * MIB;
    const args = ['probe', 'digits-cnn', '--engine', 'torch', '--device', 'cpu', '--memory-cap', String(cap), '--steps', '1'];
    const { document, exitCode } = await batchfitJson(args);
    expect(exitCode).toBe(0);
    const found = document.largest.batch;
    expect(document).toMatchObject({ verdict: 'verified', device: { kind: 'cpu' }, smallestFailing: { batch: found + 1, outcome: 'oom' } });
    const graph = await readModel('digits-cnn');
    const engine = createTorchEngine();
    // One sample is less than what the kernel counts in one go, so the batches next to the edge are left to the probe itself.
    for (const batch of around(found).filter((each) => Math.abs(each - found - 0.5) > 1)) {
      const request = {
        model: { kind: 'graph' as const, graph },
        sizes: {},
        setup: { ...DEFAULT_SETUP, batch },
        device: 'cpu',
        steps: 1,
        warmupSteps: 1,
      };
      const { outcome } = await engine.runTrial({ ...request, timeoutSeconds: 120, memoryCapBytes: cap }, signal);
      expect({ batch, outcome }).toEqual({ batch, outcome: batch <= found ? 'fits' : 'oom' });
    }
  });

  it('leaves no child behind on Ctrl-C, and says what was measured', { timeout: 60_000 }, async () => {
    const mark = `mark-${process.pid}`;
    const slow = `import sys, time; time.sleep(0 if int(sys.argv[1]) < 20 else 300) # ${mark}`;
    const { stdout, exitCode } = await batchfit(['probe', '--json', '--memory-cap', '512MiB', '--', 'python3', '-c', slow, '{batch}'], {
      onStart: (pid) => {
        const timer = setInterval(() => {
          if (!runningTrials(mark).some((batch) => batch >= 20)) return;
          clearInterval(timer);
          process.kill(pid, 'SIGINT');
        }, 50);
      },
    });
    expect(exitCode).toBe(130);
    const document = JSON.parse(stdout);
    expect(document).toMatchObject({ interrupted: true, verdict: 'inconclusive', reason: 'interrupted' });
    expect(document.largest.batch).toBeGreaterThanOrEqual(8);
    expect(document.trials.every((trial: any) => trial.outcome === 'fits' && trial.batch < 20)).toBe(true);
    expect(runningTrials(mark)).toEqual([]);
  });

  it('tells what is wrong with what it was given', async () => {
    const cases: [string[], string, number][] = [
      [['probe'], 'MODEL_MISSING', 2],
      [['probe', '--engine', 'command'], 'COMMAND_MISSING', 2],
      [['probe', 'digits-cnn', '--', 'true'], 'MODEL_AND_COMMAND', 2],
      [['probe', '--', 'no-such-program'], 'PROGRAM_MISSING', 3],
      [['probe', 'digits-cnn', '--device', 'rtx-3090'], 'PROBE_ELSEWHERE', 2],
      [['probe', 'no-such-model', '--engine', 'torch'], 'UNKNOWN_MODEL', 2],
      [['probe', 'digits-cnn', '--engine', 'torch', '--memory-cap', 'lots'], 'BAD_BYTES', 2],
      [['trace', 'resnet50'], 'BAD_MODEL', 2],
      [['trace', `${folder}/none.py:make`, '-o', `${folder}/x.json`], 'BAD_MODEL', 2],
      [['engines', 'install'], 'ENGINE_NAME_MISSING', 2],
    ];
    for (const [args, code, exit] of cases) {
      const { document, exitCode } = await batchfitJson(args);
      expect([args.join(' '), document.error?.code, exitCode]).toEqual([args.join(' '), code, exit]);
    }
  });

  it('calls a crash inconclusive, whatever the batch', async () => {
    const { document, exitCode } = await batchfitJson([
      'probe',
      '--memory-cap',
      '512MiB',
      '--',
      'python3',
      '-c',
      'raise ValueError("bad")',
      '{batch}',
    ]);
    expect(exitCode).toBe(4);
    expect(document).toMatchObject({ verdict: 'inconclusive', largest: null });
    expect(document.trials[0]).toMatchObject({ outcome: 'crash', evidence: 'exit code 1: ValueError: bad' });
  });
});

describe('trace', () => {
  it('exports a module whose graph trains as the module itself does', { timeout: 300_000 }, async () => {
    const code = join(ROOT, 'test', 'probe', 'torch', 'small_model.py');
    const path = join(folder, 'small.graph.json');
    const { document, exitCode } = await batchfitJson(['trace', `${code}:make`, '-o', path]);
    expect(exitCode).toBe(0);
    expect(document).toMatchObject({ path, name: 'make', symbols: { H: { default: 32 }, W: { default: 32 } }, parameters: 24330 });
    const python = (await createTorchEngine().status()).reason.split(',')[0]!;
    const compared = await runChild({
      command: [python, join(ROOT, 'test', 'probe', 'torch', 'compare.py'), code, path],
      timeoutSeconds: 120,
      memoryCapBytes: null,
      signal,
    });
    expect([compared.stderr, compared.stdout.trim()]).toEqual(['', 'same loss and gradients, with and without checkpointing']);
    const probed = await batchfitJson([
      'probe',
      path,
      '--engine',
      'torch',
      '--max-batch',
      '4',
      '--batch',
      '4',
      '--steps',
      '1',
      '--memory-cap',
      '2GiB',
    ]);
    expect(probed.document).toMatchObject({ verdict: 'max-batch', largest: { batch: 4 } });
  });

  it("one's own code needs no file: estimate, plan and check export it on the spot", { timeout: 300_000 }, async () => {
    const reference = `${join(ROOT, 'test', 'probe', 'torch', 'small_model.py')}:make`;
    const saved = join(folder, 'own-plan.json');
    const device = ['--device', 't4'];
    const estimated = await batchfitJson(['estimate', reference, '--batch', '4', ...device]);
    expect([estimated.exitCode, estimated.document.model.parameters]).toEqual([0, 24330]);
    const planned = await batchfitJson(['plan', reference, '--target-batch', '64', '--dataset-size', '640', ...device, '--save', saved]);
    expect([planned.exitCode, planned.document.batch.effective]).toEqual([0, 64]);
    const checked = await batchfitJson(['check', '--plan', saved, '--require', 'fits', ...device]);
    expect([checked.exitCode, checked.document.passed]).toEqual([0, true]);
  });

  it('names what Python says is wrong', { timeout: 120_000 }, async () => {
    const path = join(folder, 'broken.py');
    writeFileSync(path, 'def make():\n    return 1\n');
    const { document, exitCode } = await batchfitJson(['trace', `${path}:make`, '-o', join(folder, 'x.json')]);
    expect([exitCode, document.error.code]).toEqual([2, 'BAD_MODEL']);
    expect(document.error.message).toContain('expected (module, example inputs[, loss[, example targets]]), found int');
  });
});
