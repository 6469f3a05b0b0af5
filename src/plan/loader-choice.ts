/** Which measured number of loader workers to take. */
import type { LoaderPoint } from '../probe/loader/point.js';
import type { Bytes } from '../units.js';

export interface LoaderChoice {
  workers: number;
  prefetch: number;
  pinMemory: boolean;
  hostBytes: Bytes | null;
  samplesPerSecond: number;
  /** Share of its time that the training step waits for data; null where its own rate is not known. */
  waiting: number | null;
  why: string;
}

/** Rates differ by a few percent from run to run; a worker that brings less costs memory for nothing. */
const AS_FAST = 0.95;
/** Head-room over the step's rate: a loader that just keeps up makes the step wait now and then. */
const MARGIN = 1.1;

/**
 * The fewest workers that feed the step with 10 % to spare, else the fewest within 5 % of the fastest; null where no point
 * worked. `needed` is the step's own rate in samples per second. Only points in the order that was asked for count.
 */
export function chooseLoader(points: LoaderPoint[], needed: number | null): LoaderChoice | null {
  const order = points.find(({ samplesPerSecond }) => samplesPerSecond !== null)?.shuffles;
  const working = points.flatMap((point) =>
    point.samplesPerSecond === null || point.shuffles !== order ? [] : [{ ...point, samplesPerSecond: point.samplesPerSecond }],
  );
  if (working.length === 0) return null;
  const cheapest = working.sort((a, b) => a.workers - b.workers || a.prefetch - b.prefetch);
  const highest = Math.max(...working.map(({ samplesPerSecond }) => samplesPerSecond));
  const enough = needed === null ? undefined : cheapest.find(({ samplesPerSecond }) => samplesPerSecond >= needed * MARGIN);
  const chosen = enough ?? cheapest.find(({ samplesPerSecond }) => samplesPerSecond >= highest * AS_FAST)!;
  const { workers, prefetch, accelerator, hostBytes, samplesPerSecond } = chosen;
  return {
    ...{ workers, prefetch, hostBytes, samplesPerSecond },
    pinMemory: accelerator,
    waiting: needed === null ? null : Math.max(0, 1 - samplesPerSecond / needed),
    why: enough ? 'the fewest workers that feed the step with 10 % to spare' : 'the fewest workers within 5 % of the fastest',
  };
}

/** How many times faster the data is in order than shuffled, at the same workers and queue; null where only one was measured. */
export function shufflingCost(points: LoaderPoint[]): number | null {
  const inOrder = points.find((point) => point.shuffles === false && point.samplesPerSecond !== null);
  const shuffled = points.find(
    (point) =>
      point.shuffles && point.workers === inOrder?.workers && point.prefetch === inOrder.prefetch && point.samplesPerSecond !== null,
  );
  return inOrder === undefined || shuffled === undefined ? null : inOrder.samplesPerSecond! / shuffled.samplesPerSecond!;
}
