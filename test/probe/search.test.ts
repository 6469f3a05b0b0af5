import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../src/probe/engine.js';
import { type SearchOptions, type SearchTrial, StopSearch, searchLargest } from '../../src/probe/search.js';

/** A made-up machine: `outcomeOf` says how a batch ends; the batches that were run are kept. */
function fake(outcomeOf: (batch: number, nth: number) => Outcome, usedBytes: (batch: number) => number | null = () => null) {
  const run: number[] = [];
  const trial = async (batch: number): Promise<SearchTrial> => {
    run.push(batch);
    const outcome = outcomeOf(batch, run.filter((each) => each === batch).length);
    return { batch, outcome, usedBytes: outcome === 'fits' ? usedBytes(batch) : null };
  };
  return { run, trial };
}

const options = (some: Partial<SearchOptions> = {}): SearchOptions => ({ start: null, maxBatch: 65536, limitBytes: null, ...some });
const upTo = (largest: number) => (batch: number) => (batch <= largest ? ('fits' as const) : ('oom' as const));

describe('searchLargest', () => {
  it('finds every largest batch from every start, and has run it and the next one', async () => {
    for (const largest of [1, 2, 3, 7, 8, 31, 100, 257, 1000]) {
      for (const start of [null, 1, 8, 90, 257, 5000]) {
        const { run, trial } = fake(upTo(largest));
        const found = await searchLargest(trial, options({ start }));
        expect(found).toMatchObject({ largest, smallestFailing: { batch: largest + 1, outcome: 'oom' }, verdict: 'verified' });
        expect(run).toContain(largest);
        expect(run).toContain(largest + 1);
        expect(new Set(run).size).toBe(run.length);
      }
    }
  });

  it('needs few trials when peaks and the limit are known', async () => {
    const { run, trial } = fake(upTo(1847), (batch) => 20e6 + batch * 65536);
    const found = await searchLargest(trial, options({ start: 1500, limitBytes: 20e6 + 1847 * 65536 }));
    expect(found.largest).toBe(1847);
    // the estimate, a second point for the line, where the line meets the limit, beyond it, and the batch after the answer
    expect(run).toEqual([1500, 375, 1847, 1940, 1848]);
  });

  it('is right when the prediction is wrong either way', async () => {
    for (const error of [0.8, 0.97, 1.03, 1.3]) {
      const { run, trial } = fake(upTo(1000), (batch) => 1e6 + batch * 1000 * error);
      const found = await searchLargest(trial, options({ start: 100, limitBytes: 1e6 + 1000 * 1000 }));
      expect(found).toMatchObject({ largest: 1000, verdict: 'verified' });
      expect(run.length).toBeLessThanOrEqual(26);
    }
  });

  it('stops at the largest batch that is to be tried', async () => {
    const { run, trial } = fake(() => 'fits');
    expect(await searchLargest(trial, options({ start: 10, maxBatch: 64 }))).toMatchObject({
      largest: 64,
      smallestFailing: null,
      verdict: 'max-batch',
    });
    expect(Math.max(...run)).toBe(64);
  });

  it('says that nothing fits only after one sample ran out of memory', async () => {
    const { run, trial } = fake(() => 'oom');
    expect(await searchLargest(trial, options({ start: 100 }))).toMatchObject({ largest: null, verdict: 'nothing-fits' });
    expect(run.at(-1)).toBe(1);
  });

  it('answers with a batch that was run where memory is not monotone', async () => {
    // glibc without a fixed mmap threshold: 90 fits, 100 to 127 are killed, 128 to 169 fit
    const holes = (batch: number): Outcome => (batch < 100 || (batch >= 128 && batch < 170) ? 'fits' : 'oom');
    for (const start of [8, 90, 110, 128, 150]) {
      const { run, trial } = fake(holes);
      const found = await searchLargest(trial, options({ start }));
      expect(found.verdict).toBe('verified');
      expect(run).toContain(found.largest);
      expect(run).toContain(found.largest! + 1);
      expect([holes(found.largest!), holes(found.largest! + 1)]).toEqual(['fits', 'oom']);
    }
  });

  it('runs a crashed batch again, and does not hold a crash of chance against it', async () => {
    const { run, trial } = fake((batch, nth) => (batch === 40 && nth === 1 ? 'crash' : upTo(60)(batch)));
    expect(await searchLargest(trial, options({ start: 40 }))).toMatchObject({ largest: 60, verdict: 'verified' });
    expect(run.slice(0, 2)).toEqual([40, 40]);
  });

  it('never takes a crash for "does not fit"', async () => {
    const { trial } = fake((batch) => (batch > 50 ? 'crash' : 'fits'));
    const found = await searchLargest(trial, options({ start: 32 }));
    expect(found).toMatchObject({ largest: 50, smallestFailing: { batch: 51, outcome: 'crash' }, verdict: 'inconclusive' });
  });

  it('gives up soon when every batch crashes', async () => {
    const { run, trial } = fake(() => 'crash');
    expect(await searchLargest(trial, options({ start: 512 }))).toMatchObject({ largest: null, verdict: 'inconclusive' });
    expect(run).toEqual([512, 512, 2, 2]);
  });

  it('keeps what it knows when it is stopped', async () => {
    const { trial, run } = fake(upTo(1000));
    const stopping = async (batch: number) => {
      if (run.length === 4) throw new StopSearch('the time limit was reached');
      return trial(batch);
    };
    const found = await searchLargest(stopping, options({ start: 100 }));
    expect(found).toMatchObject({ verdict: 'inconclusive', reason: 'the time limit was reached' });
    expect(found.largest).toBeGreaterThanOrEqual(100);
  });
});
