/** Data loaders measured with the PyTorch that `engines install torch` made. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { batchfit, batchfitJson, ROOT } from './run.js';

const DATA = join(ROOT, 'test', 'fixtures', 'loader', 'data.py');
const env = { OMP_NUM_THREADS: '1' };
const measure = (name: string, workers: string, ...flags: string[]) =>
  batchfitJson(['loader', '--dataset', `${DATA}:${name}`, '--batch', '8', '--seconds', '1', '--workers', workers, ...flags], { env });

it('workers help a data set that waits, and their memory is told', { timeout: 300_000 }, async () => {
  const { document, exitCode } = await measure('slow', '0,4', '--samples-per-second', '5000');
  expect(exitCode).toBe(0);
  const [alone, four, deeper] = document.points;
  expect([alone.shuffles, document.points.at(-1).shuffles]).toEqual([true, false]);
  // 5 ms a sample: no more than 200 samples a second by one process.
  expect(alone.samplesPerSecond).toBeLessThanOrEqual(200);
  expect(four.samplesPerSecond).toBeGreaterThan(1.3 * alone.samplesPerSecond);
  expect([alone.hostBytes, deeper.prefetch]).toEqual([0, 4]);
  expect(four.hostBytes).toBeGreaterThan(4 * 2 ** 20);
  expect(document.recommended).toMatchObject({ workers: 4, pinMemory: false });
  expect(document.recommended.waiting).toBeGreaterThan(0.5);
  expect(document.warnings.map(({ code }: { code: string }) => code)).toContain('STEP_WAITS_FOR_DATA');
});

it('tells what shuffling costs where reads have to seek, and a loader that does not shuffle', { timeout: 300_000 }, async () => {
  const codes = async (name: string, workers: string) =>
    (await measure(name, workers)).document.warnings.map(({ code }: { code: string }) => code);
  expect(await codes('disk', '0')).toEqual(['SHUFFLING_COSTS']);
  expect(await codes('in_order', '0')).toEqual(['NOT_SHUFFLED']);
});

it("measures a factory's own loader", { timeout: 200_000 }, async () => {
  const { document } = await measure('own', '0');
  expect(document.points[0]).toMatchObject({ workers: 0, batch: 8, outcome: 'fits' });
});

it('a short epoch follows the other', { timeout: 200_000 }, async () => {
  const { document } = await batchfitJson(['loader', '--dataset', `${DATA}:short`, '--seconds', '1', '--workers', '0'], { env });
  expect(document.points[0]).toMatchObject({ batch: 4, outcome: 'fits' });
  expect(document.recommended.workers).toBe(0);
});

it('a damaged sample, a dead worker and a hang are outcomes', { timeout: 400_000 }, async () => {
  const broken = await measure('broken', '0');
  expect([broken.exitCode, broken.document.recommended]).toEqual([4, null]);
  expect(broken.document.points[0]).toMatchObject({ outcome: 'crash', evidence: expect.stringContaining('ValueError: sample is damaged') });
  const deadly = await measure('deadly', '0,1');
  expect(deadly.document.points.slice(0, 2)).toMatchObject([
    { outcome: 'fits' },
    { outcome: 'crash', evidence: expect.stringContaining('worker died') },
  ]);
  expect(deadly.document.recommended.workers).toBe(0);
  const hanging = await measure('hanging', '1', '--time-limit', '30s');
  expect(hanging.document.points[0]).toMatchObject({ outcome: 'timeout' });
  const mark = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && commandLine(name).includes('batchfit_torch/loader.py'));
  expect(mark).toEqual([]);
});

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

it('times a command, or takes the rate that it prints', async () => {
  const said = 'print(\'BATCHFIT {"samplesPerSecond": %d}\' % (100 + 50 * int(__import__("sys").argv[1])))';
  const { document } = await batchfitJson(['loader', '--workers', '0,2', '--', 'python3', '-c', said, '{workers}']);
  expect(document.points.map(({ samplesPerSecond }: { samplesPerSecond: number }) => samplesPerSecond)).toEqual([100, 200]);
  expect(document.recommended).toMatchObject({ workers: 2 });
  const timed = await batchfitJson(['loader', '--workers', '0', '--samples', '1000', '--', 'python3', '-c', 'pass']);
  expect(timed.document.points[0].samplesPerSecond).toBeGreaterThan(1);
  expect(timed.document.points[0].hostBytes).toBeGreaterThan(0);
});

it('says what is wrong with what it was given', async () => {
  const cases: [string[], string, number][] = [
    [['loader', '--dataset', 'data.csv'], 'BAD_DATASET', 2],
    [['loader', '--dataset', `${DATA}:nothing`, '--workers', '0'], 'BAD_DATASET', 2],
    [['loader', '--dataset', `${DATA}:slow`, '--', 'true'], 'DATASET_AND_COMMAND', 2],
    [['loader', '--workers', '0', '--', 'true'], 'RATE_UNKNOWN', 2],
    [['loader', '--workers', '0', '--', 'no-such-program'], 'PROGRAM_MISSING', 3],
    [['loader', '--workers', 'many', '--dataset', `${DATA}:slow`], 'BAD_NUMBER', 2],
  ];
  for (const [args, code, exit] of cases) {
    const { document, exitCode } = await batchfitJson(args, { env });
    expect([args.join(' '), document.error?.code, exitCode]).toEqual([args.join(' '), code, exit]);
  }
  expect((await batchfit(['loader', '--workers', '0', '--samples', '9', '--', 'true'])).stdout).toContain('num_workers=0');
});
