import { describe, expect, it } from 'vitest';
import { chooseLoader, shufflingCost } from '../../src/plan/loader-choice.js';
import { fastestOf } from '../../src/probe/loader/measure.js';
import { type LoaderPoint, readLoaderLine } from '../../src/probe/loader/point.js';

const point = (workers: number, samplesPerSecond: number | null, change: Partial<LoaderPoint> = {}): LoaderPoint => ({
  ...{ workers, prefetch: 2, outcome: samplesPerSecond === null ? ('crash' as const) : ('fits' as const), evidence: '', samplesPerSecond },
  ...{ hostBytes: workers * 1000, firstBatchSeconds: 0.1, batch: 32, accelerator: false, pinMemory: false, shuffles: true },
  ...change,
});

describe('the number of workers', () => {
  it('is the fewest within 5 % of the fastest', () => {
    const points = [point(0, 50), point(1, 90), point(2, 180), point(4, 186), point(8, 120)];
    expect(chooseLoader(points, null)).toMatchObject({ workers: 2, hostBytes: 2000, waiting: null });
    expect(fastestOf(points)?.workers).toBe(4);
  });
  it('is the fewest that feed the step with 10 % to spare', () => {
    const points = [point(0, 50), point(1, 90), point(2, 180), point(4, 300)];
    expect(chooseLoader(points, 80)).toMatchObject({ workers: 1, waiting: 0 });
    expect(chooseLoader(points, 85)).toMatchObject({ workers: 2, waiting: 0 });
  });
  it('is the fastest with the share that the step waits, where none feeds it', () => {
    expect(chooseLoader([point(0, 50), point(2, 100)], 400)).toMatchObject({ workers: 2, waiting: 0.75 });
  });
  it('leaves failed points out, and is none where all failed', () => {
    expect(chooseLoader([point(0, 50), point(4, null)], null)).toMatchObject({ workers: 0 });
    expect(chooseLoader([point(0, null)], null)).toBeNull();
  });
  it('takes a longer queue only where it is faster, and pinned memory where there is a device', () => {
    const device = { accelerator: true };
    expect(chooseLoader([point(2, 100, device), point(2, 102, { prefetch: 4 })], null)).toMatchObject({ prefetch: 2, pinMemory: true });
    expect(chooseLoader([point(2, 100), point(2, 150, { prefetch: 4 })], null)).toMatchObject({ prefetch: 4, pinMemory: false });
  });
});

it('the cost of shuffling is told, and what was read in order decides nothing', () => {
  const points = [point(0, 50), point(2, 100), point(2, 110, { prefetch: 4 }), point(2, 400, { shuffles: false })];
  expect(shufflingCost(points)).toBe(4);
  expect(chooseLoader(points, null)).toMatchObject({ workers: 2, prefetch: 4, samplesPerSecond: 110 });
  expect(shufflingCost(points.slice(0, 3))).toBeNull();
});

it("reads a child's line and ignores what is none", () => {
  const line = {
    ...{ schema: 'batchfit/loader-point@1', samples: 10, seconds: 2, firstBatchSeconds: 0.5 },
    ...{ batch: 5, workerBytes: null, accelerator: false, pinMemory: false, shuffles: null },
  };
  expect(readLoaderLine(`${JSON.stringify(line)}\n{"schema":"x"}\n{"samp`)).toEqual(line);
  expect(readLoaderLine('{"schema":"batchfit/trial-report@1"}')).toBeNull();
});
