/** Plays a loop through an allocator and reads the peaks. */

import { CATEGORIES, type Category } from '../trace/index.js';
import { type Block, CachingAllocator, type CachingAllocatorOptions, NO_BLOCK } from './allocators/cuda-caching.js';
import { requestBucket, roundSize } from './allocators/cuda-requests.js';
import { type Loop, type LoopPhase, STEADY_STEP } from './loop.js';

export interface TensorPeak {
  /** Highest sum of live storages in the steady step, each rounded to 512 B. */
  bytes: number;
  /** The same without rounding. */
  requestedBytes: number;
  at: LoopPhase;
  phasePeaks: Record<LoopPhase, number>;
  breakdown: Record<Category, number>;
}

/** What CUDA's caching allocator makes of sizes; nothing of those that are 0. */
function roundedSizes(sizes: Float64Array): Float64Array {
  const rounded = new Float64Array(sizes.length);
  for (let i = 0; i < sizes.length; i++) rounded[i] = sizes[i] === 0 ? 0 : roundSize(sizes[i] as number);
  return rounded;
}

/** 1 for a birth, -1 for a death. */
const signOf = (event: number): number => 1 | (event >> 31);

/** Walks the steady step and finds its peak, then walks up to there and finds what it is made of. */
export function tensorPeak(loop: Loop, sizes: Float64Array): TensorPeak {
  const { events, sizeIndex, marks, held } = loop;
  const rounded = roundedSizes(sizes);
  const phasePeaks = { forward: 0, backward: 0, optimizer: 0 };
  let [current, peak, peakEvent] = [0, 0, -1];
  for (const index of held.sizeIndex) current += rounded[index] as number;
  let at: LoopPhase = 'forward';
  for (const [m, { phase, step, at: from }] of marks.entries()) {
    if (step !== STEADY_STEP || phase === 'between') continue;
    const end = marks[m + 1]?.at ?? events.length;
    let highest = 0;
    let highestEvent = -1;
    for (let i = from; i < end; i++) {
      current += signOf(events[i] as number) * (rounded[sizeIndex[i] as number] as number);
      if (current <= highest) continue;
      highest = current;
      highestEvent = i;
    }
    if (highest > phasePeaks[phase]) phasePeaks[phase] = highest;
    if (highest > peak) [peak, peakEvent, at] = [highest, highestEvent, phase];
  }
  return { bytes: peak, at, phasePeaks, ...liveAt(loop, sizes, rounded, peakEvent) };
}

/** What lives after an event of the steady step, by category. */
function liveAt(loop: Loop, sizes: Float64Array, rounded: Float64Array, last: number): Pick<TensorPeak, 'requestedBytes' | 'breakdown'> {
  const live = new Float64Array(CATEGORIES.length);
  const requested = new Float64Array(CATEGORIES.length);
  const count = (sign: number, index: number, category: number): void => {
    live[category] = (live[category] as number) + sign * (rounded[index] as number);
    requested[category] = (requested[category] as number) + sign * (sizes[index] as number);
  };
  const { events, sizeIndex, categories, marks, held } = loop;
  for (let i = 0; i < held.sizeIndex.length; i++) count(1, held.sizeIndex[i] as number, held.categories[i] as number);
  for (let i = marks.find(({ step }) => step === STEADY_STEP)?.at ?? 0; i <= last; i++)
    count(signOf(events[i] as number), sizeIndex[i] as number, categories[i] as number);
  const breakdown = Object.fromEntries(CATEGORIES.map((name, i) => [name, live[i]])) as Record<Category, number>;
  return { requestedBytes: requested.reduce((sum, bytes) => sum + bytes, 0), breakdown };
}

/** The category of what a library asks for during one call, in a loop's numbers. */
export const WORKSPACES = CATEGORIES.indexOf('workspaces');

export interface Reserved {
  peakAllocated: number;
  peakReserved: number;
  retries: number;
  outOfMemory: boolean;
}

export interface ReplayOptions extends CachingAllocatorOptions {
  /** Stop at the first request that does not fit: the peaks are those up to there. */
  stopsWhenFull?: boolean;
}

/** One for all replays, which come one after the other. */
const allocator = new CachingAllocator();

/** Plays the loop through the CUDA caching allocator; `workspaces` are library buffers made in the first step. */
export function replay(loop: Loop, sizes: Float64Array, options: ReplayOptions = {}, workspaces: readonly number[] = []): Reserved {
  allocator.reset(options);
  const rounded = roundedSizes(sizes);
  const buckets = new Int32Array(rounded.length);
  for (let i = 0; i < rounded.length; i++) buckets[i] = requestBucket(rounded[i] as number);
  const game = { loop, rounded, buckets, blocks: new Int32Array(loop.slots) };
  const firstForward = loop.marks[0]?.at ?? 0;
  const stopsWhenFull = options.stopsWhenFull ?? false;
  if (play(game, 0, firstForward, stopsWhenFull)) {
    for (const bytes of workspaces) allocator.allocate(bytes);
    play(game, firstForward, loop.events.length, stopsWhenFull);
  }
  const { peakAllocated, peakReserved, retries, outOfMemory } = allocator;
  return { peakAllocated, peakReserved, retries, outOfMemory };
}

interface Game {
  loop: Loop;
  /** For each size what the allocator makes of it, and where it looks for it. */
  rounded: Float64Array;
  buckets: Int32Array;
  /** For each slot the block in it. */
  blocks: Int32Array;
}

/** Plays the events from one to before another. False where it stopped because a request did not fit. */
function play({ loop, rounded, buckets, blocks }: Game, from: number, to: number, stopsWhenFull: boolean): boolean {
  const { events, sizeIndex, categories } = loop;
  for (let i = from; i < to; i++) {
    const event = events[i] as number;
    if (event < 0) {
      const block = blocks[-1 - event] as Block;
      if (block !== NO_BLOCK) allocator.free(block);
      continue;
    }
    const index = sizeIndex[i] as number;
    const size = rounded[index] as number;
    // Without room for a workspace cuDNN takes an algorithm that needs none.
    blocks[event] = size === 0 ? NO_BLOCK : allocator.take(size, buckets[index] as number, categories[i] === WORKSPACES);
    if (stopsWhenFull && allocator.outOfMemory) return false;
  }
  return true;
}
