/** Plays a loop through an allocator and reads the peaks. */

import { CATEGORIES, type Category } from '../trace/index.js';
import { type Block, CachingAllocator, type CachingAllocatorOptions, NO_BLOCK, roundSize } from './allocators/cuda-caching.js';
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

/** Walks the loop and finds the steady step's peak, then walks up to there and finds what it is made of. */
export function tensorPeak(loop: Loop, sizes: Float64Array): TensorPeak {
  const { events, sizeIndex, marks } = loop;
  const rounded = sizes.map((bytes) => (bytes === 0 ? 0 : roundSize(bytes)));
  const phasePeaks = { forward: 0, backward: 0, optimizer: 0 };
  let [current, peak, peakEvent] = [0, 0, -1];
  let at: LoopPhase = 'forward';
  for (let m = -1; m < marks.length; m++) {
    const { phase, step } = marks[m] ?? { phase: 'between', step: -1 };
    const end = marks[m + 1]?.at ?? events.length;
    let [highest, highestEvent] = [0, -1];
    for (let i = marks[m]?.at ?? 0; i < end; i++) {
      const event = events[i] as number;
      if (event < 0) current -= rounded[sizeIndex[-1 - event] as number] as number;
      else current += rounded[sizeIndex[event] as number] as number;
      if (current > highest && event >= 0) [highest, highestEvent] = [current, i];
    }
    if (step !== STEADY_STEP || phase === 'between') continue;
    if (highest > phasePeaks[phase]) phasePeaks[phase] = highest;
    if (highest > peak) [peak, peakEvent, at] = [highest, highestEvent, phase];
  }
  return { bytes: peak, at, phasePeaks, ...liveAt(loop, sizes, rounded, peakEvent) };
}

/** What lives after an event, by category. */
function liveAt(loop: Loop, sizes: Float64Array, rounded: Float64Array, last: number): Pick<TensorPeak, 'requestedBytes' | 'breakdown'> {
  const { events, sizeIndex, categories } = loop;
  const breakdown = Object.fromEntries(CATEGORIES.map((c) => [c, 0])) as Record<Category, number>;
  let requestedBytes = 0;
  for (let i = 0; i <= last; i++) {
    const event = events[i] as number;
    const [id, sign] = event >= 0 ? [event, 1] : [-1 - event, -1];
    const size = sizeIndex[id] as number;
    requestedBytes += sign * (sizes[size] as number);
    breakdown[categories[id] as Category] += sign * (rounded[size] as number);
  }
  return { requestedBytes, breakdown };
}

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

/** Plays the loop through the CUDA caching allocator; `workspaces` are library buffers made in the first step. */
export function replay(loop: Loop, sizes: Float64Array, options: ReplayOptions = {}, workspaces: readonly number[] = []): Reserved {
  const allocator = new CachingAllocator(options);
  const { events, sizeIndex, categories } = loop;
  const blocks = new Int32Array(sizeIndex.length);
  const firstForward = loop.marks[0]?.at ?? 0;
  for (let i = 0; i < events.length; i++) {
    if (i === firstForward) for (const bytes of workspaces) allocator.allocate(bytes);
    const event = events[i] as number;
    const id = event >= 0 ? event : -1 - event;
    const bytes = sizes[sizeIndex[id] as number] as number;
    if (bytes === 0) continue;
    if (event < 0) {
      if (blocks[id] !== NO_BLOCK) allocator.free(blocks[id] as Block);
    } else {
      // Without room for a workspace cuDNN takes an algorithm that needs none.
      blocks[id] = allocator.allocate(bytes, categories[id] === 'workspaces');
      if (allocator.outOfMemory && options.stopsWhenFull) break;
    }
  }
  return {
    peakAllocated: allocator.peakAllocated,
    peakReserved: allocator.peakReserved,
    retries: allocator.retries,
    outOfMemory: allocator.outOfMemory,
  };
}
