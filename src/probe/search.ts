/**
 * The largest batch that fits, found by running batches. It is a measured answer: the batch that it names was run and
 * fits, and the next one was run and does not, or is past the limit that the user set. What lies between two measured
 * batches is never inferred, because memory is not monotone in the batch everywhere.
 */
import type { Bytes } from '../units.js';
import type { Outcome } from './engine.js';

export interface SearchTrial {
  batch: number;
  outcome: Outcome;
  /** Peak of what the limit is about, where it was measured. */
  usedBytes: Bytes | null;
}

export interface SearchOptions {
  /** Batch to begin with, usually the estimate's largest; null for none. */
  start: number | null;
  maxBatch: number;
  /** The memory that a trial may use, where it is known: with measured peaks it tells where to look next. */
  limitBytes: Bytes | null;
}

/**
 * `verified`: the next batch was run and ran out of memory. `max-batch`: the limit on the batch was reached. `nothing-fits`:
 * even one sample ran out of memory. `inconclusive`: a crash, a timeout or the end of the time stood in the way.
 */
export type Verdict = 'verified' | 'max-batch' | 'nothing-fits' | 'inconclusive';

export interface SearchResult {
  largest: number | null;
  smallestFailing: { batch: number; outcome: Outcome } | null;
  verdict: Verdict;
  reason: string;
}

/** Thrown by a trial function to end the search with what is known: the time is up, or the user wants to stop. */
export class StopSearch extends Error {
  override readonly name = 'StopSearch';
}

/** Begins here when there is no estimate. */
const FIRST_BATCH = 8;
/** The estimate is near: the first step away from it is small, later ones double. */
const FIRST_FACTOR = 1.25;
const NEARBY_FACTOR = 1.05;

interface Bracket {
  fits: number | null;
  failing: { batch: number; outcome: Outcome } | null;
  trials: SearchTrial[];
}

/** Runs `trial` until the answer is verified. A batch that crashes is run a second time, for a crash may be chance. */
export async function searchLargest(trial: (batch: number) => Promise<SearchTrial>, options: SearchOptions): Promise<SearchResult> {
  const known: Bracket = { fits: null, failing: null, trials: [] };
  try {
    let factor = options.start === null ? 2 : FIRST_FACTOR;
    let next: number | null = Math.min(Math.max(options.start ?? FIRST_BATCH, 1), options.maxBatch);
    while (next !== null) {
      const result = await runOrRepeat(trial, next);
      if (result.outcome === 'unsupported') throw new StopSearch('the engine cannot run this model or setup');
      known.trials.push(result);
      if (result.outcome === 'fits') known.fits = Math.max(next, known.fits ?? 0);
      else known.failing = { batch: next, outcome: result.outcome };
      if (crashedAtBoth(known)) throw new StopSearch('a small batch crashes too, so the batch is not the cause');
      next = propose(known, options, factor);
      factor = 2;
    }
  } catch (error) {
    if (!(error instanceof StopSearch)) throw error;
    return conclude(known, options, error.message);
  }
  return conclude(known, options, null);
}

async function runOrRepeat(trial: (batch: number) => Promise<SearchTrial>, batch: number): Promise<SearchTrial> {
  const first = await trial(batch);
  return first.outcome === 'crash' ? trial(batch) : first;
}

/** With nothing that fits, a crash at a large batch is compared with a small one before the batch is blamed. */
function crashedAtBoth({ fits, trials }: Bracket): boolean {
  return fits === null && trials.filter(({ outcome }) => outcome === 'crash').length > 1;
}

/** The batch to run next; null when the answer is verified. */
function propose({ fits, failing, trials }: Bracket, options: SearchOptions, factor: number): number | null {
  const predicted = options.limitBytes === null ? null : predictLargest(trials, options.limitBytes);
  if (needsSecondPoint({ fits, failing, trials }, options)) return Math.floor(fits! / 4);
  if (failing === null) {
    if (fits === null || fits >= options.maxBatch) return null;
    // A prediction that was reached and fits is near the truth, just low: pages shared with other processes cost nothing.
    const nearby = predicted !== null && predicted <= fits;
    const grown = predicted !== null && !nearby ? Math.min(predicted, fits * 4) : Math.ceil(fits * (nearby ? NEARBY_FACTOR : factor));
    return Math.min(Math.max(grown, fits + 1), options.maxBatch);
  }
  if (fits === null) {
    if (failing.batch <= 1) return null;
    // A batch of 2 and not 1: a batch norm over one value is an error of its own.
    if (failing.outcome === 'crash') return Math.min(2, failing.batch - 1);
    const shrunk = predicted !== null && predicted < failing.batch ? predicted : Math.floor(failing.batch / factor);
    return Math.min(Math.max(shrunk, 1), failing.batch - 1);
  }
  if (failing.batch - fits <= 1) return null;
  const middle = Math.floor((fits + failing.batch) / 2);
  // Two steps follow the prediction, the third bisects: a prediction that creeps cannot cost more than twice bisection's trials.
  const usable = predicted !== null && predicted >= fits && predicted < failing.batch && trials.length % 3 !== 0;
  const guess = usable ? predicted : middle;
  return Math.min(Math.max(guess, fits + 1), failing.batch - 1);
}

/** One cheap small batch beside the first that fits makes a line, and the line saves several large ones. */
function needsSecondPoint({ fits, trials }: Bracket, { limitBytes, maxBatch }: SearchOptions): boolean {
  const measured = trials.filter(({ outcome, usedBytes }) => outcome === 'fits' && usedBytes !== null);
  return limitBytes !== null && measured.length === 1 && fits !== null && fits >= 32 && fits < maxBatch;
}

/** Where the straight line through the two largest measured peaks meets the limit. */
function predictLargest(trials: SearchTrial[], limitBytes: Bytes): number | null {
  const points = trials.filter((each) => each.outcome === 'fits' && each.usedBytes !== null).sort((a, b) => a.batch - b.batch);
  const [a, b] = points.slice(-2);
  if (!a || !b) return null;
  const perSample = (b.usedBytes! - a.usedBytes!) / (b.batch - a.batch);
  return perSample > 0 ? Math.max(1, Math.floor(b.batch + (limitBytes - b.usedBytes!) / perSample)) : null;
}

function conclude({ fits, failing }: Bracket, options: SearchOptions, stopped: string | null): SearchResult {
  const found = { largest: fits, smallestFailing: failing };
  if (stopped !== null) return { ...found, verdict: 'inconclusive', reason: stopped };
  if (failing === null) return { ...found, verdict: 'max-batch', reason: `${options.maxBatch} is the largest batch that was to be tried` };
  if (failing.outcome !== 'oom') {
    const what = failing.outcome === 'timeout' ? 'took too long' : 'crashed';
    return { ...found, verdict: 'inconclusive', reason: `batch ${failing.batch} ${what}, which says nothing about memory` };
  }
  if (fits === null) return { ...found, verdict: 'nothing-fits', reason: 'one sample ran out of memory' };
  return { ...found, verdict: 'verified', reason: `batch ${fits} fits and batch ${failing.batch} was run and does not` };
}
