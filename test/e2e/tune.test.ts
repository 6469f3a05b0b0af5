import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requireOptuna } from '../../src/probe/tune/python.js';
import { batchfit, batchfitJson, ROOT } from './run.js';

const folder = mkdtempSync(join(tmpdir(), 'batchfit-tune-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/**
 * A command with a known optimum, batch 128 at learning rate 0.2, that runs out of memory above 512. It writes down what it
 * was started with, and how many steps it made.
 */
const COMMAND = join(folder, 'train.mjs');
const RUNS = join(folder, 'runs');
writeFileSync(
  COMMAND,
  `import { appendFileSync } from 'node:fs';
const [batch, lr] = process.argv.slice(2).map(Number);
const note = (text) => appendFileSync(${JSON.stringify(RUNS)}, batch + ' ' + lr + ' ' + text + '\\n');
note('start');
if (batch > 512) { console.error('torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB'); process.exit(1); }
const end = 0.1 * (Math.log2(batch) - 7) ** 2 + 0.05 * Math.log2(lr / 0.2) ** 2;
for (let step = 0; step < 6; step++) {
  console.log('BATCHFIT ' + JSON.stringify({ metric: end + 1 / (1 + step), step }));
  await new Promise((resolve) => setTimeout(resolve, 40));
}
console.log('BATCHFIT ' + JSON.stringify({ metric: end, step: 6 }));
note('end');
`,
);
const TRAIN = ['--', process.execPath, COMMAND, '{batch}', '{lr}'];
const REFERENCE = ['--reference-batch', '64', '--reference-lr', '0.1', '--optimizer', 'momentum'];

/** What was started and what ended, since the last time. */
function runs(): { started: string[]; ended: string[] } {
  const lines = existsSync(RUNS) ? readFileSync(RUNS, 'utf8').trim().split('\n') : [];
  rmSync(RUNS, { force: true });
  const of = (mark: string) => lines.filter((line) => line.endsWith(mark)).map((line) => line.split(' ', 2).join(' '));
  return { started: of('start'), ended: of('end') };
}

const tune = (args: string[], command = TRAIN, options = {}) => batchfitJson(['tune', ...REFERENCE, ...args, ...command], options);
const settings = (document: any) => document.trials.map((trial: any) => `${trial.batch} ${trial.learningRate}`);

/** Processes whose command line holds a mark. */
function running(mark: string): string[] {
  return readdirSync('/proc').filter((name) => {
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(mark);
    } catch {
      return false; // not a process, or gone already
    }
  });
}

describe('a study of one process', () => {
  it('grid: every batch at its own rate, the optimum found, the hopeless stopped, memory an outcome', async () => {
    const { document, exitCode } = await tune(['--batches', '16..4096', '--json']);
    expect(exitCode).toBe(0);
    expect(document.best).toMatchObject({ batch: 128, learningRate: 0.2 });
    expect(document.best.metric).toBeCloseTo(0, 9);
    expect(settings(document).sort()).toEqual(
      [16, 32, 64, 128, 256, 512, 1024, 2048, 4096].map((batch) => `${batch} ${Number((0.1 * (batch / 64)).toPrecision(6))}`).sort(),
    );
    const of = (batch: number) => document.trials.find((trial: any) => trial.batch === batch);
    expect(of(512)).toMatchObject({ outcome: 'pruned', ran: true });
    expect(of(1024)).toMatchObject({ outcome: 'oom', ran: true });
    expect(of(1024).evidence).toContain('CUDA out of memory');
    for (const batch of [2048, 4096]) {
      expect(of(batch)).toMatchObject({ outcome: 'oom', ran: false, evidence: 'not run: batch 1024 ran out of memory on this machine' });
    }
    expect(document).toMatchObject({ largestRun: 512, smallestOutOfMemory: 1024, budget: 9, reference: { rule: 'linear' } });
    const { started, ended } = runs();
    expect(started.length).toBe(7);
    expect(ended).not.toContain('512 0.8');
    expect(readFileSync(document.journal, 'utf8').trim().split('\n').length).toBe(9);
    rmSync(document.journal);
  });

  it('random: the same trials for the same seed, and none where memory ran out', async () => {
    const args = ['--sampler', 'random', '--trials', '14', '--lr-spread', '4', '--seed', '7', '--pruner', 'none'];
    const [first, second] = [await tune(args), await tune(args)];
    expect(settings(first.document)).toEqual(settings(second.document));
    expect(first.document.trials.length).toBe(14);
    const outOfMemory = first.document.trials.filter((trial: any) => trial.outcome === 'oom');
    expect(outOfMemory.length).toBeLessThanOrEqual(1);
    for (const trial of first.document.trials) {
      const factor = trial.learningRate / (0.1 * (trial.batch / 64));
      expect(factor).toBeGreaterThan(0.249);
      expect(factor).toBeLessThan(4.001);
    }
    runs();
    for (const { document } of [first, second]) rmSync(document.journal);
  });

  it('says what is best, and why', async () => {
    const { stdout, exitCode } = await batchfit(['tune', ...REFERENCE, '--batches', '64,128', ...TRAIN]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain('best: batch 128 with learning rate 0.2, metric 0\n');
    expect(stdout).toContain('the smallest metric of 2 trials (2 done); the best of another batch is 0.15 at 64');
    expect(stdout).toMatch(/2 +128 +0\.2 +0 +done, best/);
    runs();
  });

  it('a command that always crashes is given up after three trials, and nothing is lost', async () => {
    const { document, exitCode } = await tune([], ['--', process.execPath, '-e', 'throw new Error("no data for {batch}")']);
    expect([exitCode, document.best, document.trials.length]).toEqual([4, null, 3]);
    expect(document.ended).toContain('the first 3 trials all crashed');
    expect(document.trials[0]).toMatchObject({ outcome: 'crash', metric: null });
  });

  it('a trial that hangs is ended by its time limit', async () => {
    const hang = 'if ({batch} > 64) setInterval(() => {}, 1000); else console.log(\'BATCHFIT {"metric": {batch}}\')';
    const { document, exitCode } = await tune(['--batches', '32..128', '--time-limit', '2s'], ['--', process.execPath, '-e', hang]);
    expect(exitCode).toBe(0);
    expect(document.best).toMatchObject({ batch: 32, metric: 32 });
    expect(document.trials.find((trial: any) => trial.batch === 128)).toMatchObject({ outcome: 'timeout' });
    expect(document.warnings.map(({ code }: any) => code)).toEqual(['RATE_NOT_IN_COMMAND']);
  });

  it('Ctrl-C leaves no child and keeps what was measured', async () => {
    const mark = `tune-mark-${process.pid}`;
    const slow = `console.log('BATCHFIT {"metric": 1}'); if ({batch} > 64) setInterval(() => {}, 1000); // ${mark}`;
    const stop = (pid: number) => {
      const timer = setInterval(() => {
        // the command's own line holds the mark and its batch; batchfit's holds {batch}
        if (!running(`128 > 64) setInterval(() => {}, 1000); // ${mark}`).length) return;
        clearInterval(timer);
        process.kill(pid, 'SIGINT');
      }, 50);
    };
    const args = ['--batches', '64..512', '--pruner', 'none'];
    const { document, exitCode } = await tune(args, ['--', process.execPath, '-e', slow], { onStart: stop });
    expect([exitCode, document.interrupted, document.ended]).toEqual([130, true, 'interrupted']);
    expect(document.trials).toMatchObject([{ batch: 64, outcome: 'done', metric: 1 }]);
    expect(running(mark)).toEqual([]);
  });

  it('tells what is wrong with what it was given', async () => {
    const cases: [string[], string, number][] = [
      [['tune', ...REFERENCE], 'COMMAND_MISSING', 2],
      [['tune', ...REFERENCE, '--batches', '64..16', ...TRAIN], 'BAD_RANGE', 2],
      [['tune', ...REFERENCE, '--lr-spread', '0.5', ...TRAIN], 'BAD_SPREAD', 2],
      [['tune', ...REFERENCE, '--', 'no-such-program'], 'PROGRAM_MISSING', 3],
    ];
    for (const [args, code, exit] of cases) {
      const { document, exitCode } = await batchfitJson(args);
      expect([args.join(' '), document.error?.code, exitCode]).toEqual([args.join(' '), code, exit]);
    }
  });

  it('names what to install where Optuna is missing', async () => {
    const bare = join(folder, 'python3');
    writeFileSync(bare, '#!/bin/sh\necho "ModuleNotFoundError: No module named \'optuna\'" >&2\nexit 1\n', { mode: 0o755 });
    const { document, exitCode } = await tune(['--sampler', 'bayesian'], TRAIN, { env: { BATCHFIT_PYTHON: bare } });
    expect([exitCode, document.error.code]).toEqual([3, 'OPTUNA_MISSING']);
    expect(document.error.hint).toContain('pip install optuna==');
  });
});

describe('a study that Optuna keeps', () => {
  beforeAll(async () => {
    const { document, exitCode } = await batchfitJson(['engines', 'install', 'optuna']);
    expect([document.error, exitCode]).toEqual([undefined, 0]);
  }, 600_000);

  const shared = (name: string) => [
    '--storage',
    name.startsWith('sqlite') ? `${name}:///${folder}/study.db` : join(folder, name),
    '--study',
    'digits',
  ];

  it('Bayesian search finds the optimum region in half of the trials that the grid takes', async () => {
    const args = ['--batches', '16..1024', '--lr-spread', '4', '--sampler', 'bayesian', '--trials', '17', '--seed', '3'];
    const { document, exitCode } = await tune(args);
    expect([exitCode, document.trials.length]).toEqual([0, 17]);
    expect(document.best.metric).toBeLessThan(0.05);
    expect(document.trials.filter((trial: any) => trial.outcome === 'oom' && trial.ran).length).toBeLessThanOrEqual(1);
    expect(document.trials.every((trial: any) => trial.ran)).toBe(true);
    runs();
  });

  it("on scikit-learn's digits Bayesian search finds as good a setting as the grid's best in half of its trials", {
    timeout: 1_200_000,
  }, async () => {
    const python = await requireOptuna(new AbortController().signal);
    const train = ['--', python, join(ROOT, 'test', 'fixtures', 'tune', 'digits.py'), '{batch}', '{lr}'];
    const space = [
      '--reference-batch',
      '32',
      '--reference-lr',
      '0.05',
      '--optimizer',
      'momentum',
      '--batches',
      '16..256',
      '--lr-spread',
      '4',
    ];
    const search = async (...flags: string[]) => {
      const { document, exitCode } = await batchfitJson(['tune', ...space, ...flags, ...train], { env: { OPENBLAS_NUM_THREADS: '1' } });
      expect([document.error, exitCode]).toEqual([undefined, 0]);
      return document;
    };
    const grid = await search('--pruner', 'none');
    expect(grid.trials.length).toBe(25);
    rmSync(grid.journal);
    // Three studies, so that it is no luck of one seed. A metric is the mean of three runs that scatter by 0.015: two of them
    // differ by less than 0.024 (two standard errors) without a reason.
    const bests: number[] = [];
    for (const seed of ['1', '2', '3']) {
      const bayesian = await search('--sampler', 'bayesian', '--trials', '12', '--seed', seed);
      expect(bayesian.trials.length).toBe(12);
      bests.push(bayesian.best.metric);
    }
    bests.sort((a, b) => a - b);
    expect(bests[1]!).toBeLessThan(1.1 * grid.best.metric);
    expect(bests[2]!).toBeLessThan(grid.best.metric + 0.024);
  });

  it('without a spread no batch is tried twice', async () => {
    const { document } = await tune(['--batches', '16..512', '--sampler', 'bayesian', '--trials', '9', '--seed', '1']);
    expect(document.trials.map((trial: any) => trial.batch).sort((a: number, b: number) => a - b)).toEqual([16, 32, 64, 128, 256, 512]);
    expect(document.warnings.map(({ code }: any) => code)).toEqual(['FEWER_SETTINGS']);
    runs();
  });

  it.each(['journal.log', 'sqlite'])('two processes that share %s finish one study without double work', async (name) => {
    const args = ['--batches', '16..512', '--lr-spread', '2', '--pruner', 'none', ...shared(name)];
    const both = await Promise.all([tune(args), tune(args)]);
    const { started } = runs();
    expect(started.length).toBe(18);
    expect(new Set(started).size).toBe(18);
    expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    const later = await tune(args);
    expect(runs().started).toEqual([]);
    expect(later.document.trials.map((trial: any) => trial.number)).toEqual(Array.from({ length: 18 }, (_, at) => at));
    expect(later.document.best).toMatchObject({ batch: 128, learningRate: 0.2 });
    const other = await batchfitJson(['tune', '--reference-batch', '64', '--reference-lr', '0.3', ...args, ...TRAIN]);
    expect([other.exitCode, other.document.error.code]).toEqual([2, 'STUDY_DIFFERS']);
    expect(other.document.error.message).toContain('this study was made with other settings: rates');
  });

  it('two processes count one budget of a Bayesian study, and a larger one goes on with it', async () => {
    const args = ['--batches', '16..512', '--lr-spread', '4', '--sampler', 'bayesian', ...shared('bayesian.log')];
    await Promise.all([tune([...args, '--trials', '9']), tune([...args, '--trials', '9'])]);
    expect(runs().started.length).toBe(9);
    const { document } = await tune([...args, '--trials', '12']);
    expect([runs().started.length, document.trials.length]).toEqual([3, 12]);
  });

  it('Ctrl-C tells Optuna, keeps what was measured, and the next run takes the broken trial again', async () => {
    const mark = `optuna-mark-${process.pid}`;
    const file = join(folder, `${mark}.go`);
    const slow = `const fs = require('fs'); console.log('BATCHFIT {"metric": {batch}}'); if ({batch} > 64 && !fs.existsSync('${file}')) setInterval(() => {}, 1000);`;
    const stop = (pid: number) => {
      const timer = setInterval(() => {
        if (!running(`if (128 > 64 && !fs.existsSync('${file}')`).length) return;
        clearInterval(timer);
        process.kill(pid, 'SIGINT');
      }, 50);
    };
    const args = ['--batches', '64..128', '--pruner', 'none', ...shared('interrupted.log')];
    const command = ['--', process.execPath, '-e', slow];
    const broken = await tune(args, command, { onStart: stop });
    expect([broken.exitCode, broken.document.interrupted]).toEqual([130, true]);
    expect(broken.document.trials).toMatchObject([{ batch: 64, metric: 64 }]);
    expect(running(mark)).toEqual([]);
    // state 3 of Optuna's journal is FAIL
    expect(readFileSync(join(folder, 'interrupted.log'), 'utf8')).toMatch(/"trial_id": ?1, ?"state": ?3/);
    writeFileSync(file, '');
    const { document } = await tune(args, command);
    expect(document.trials).toMatchObject([
      { batch: 64, metric: 64 },
      { batch: 128, metric: 128, outcome: 'done' },
    ]);
  });

  it('names a storage that cannot be opened', async () => {
    const { document, exitCode } = await tune(['--storage', join(folder, 'none', 'study.log')]);
    expect([exitCode, document.error.code]).toEqual([3, 'STORAGE_UNUSABLE']);
    expect(document.error.message).toContain('No such file or directory');
  });
});
