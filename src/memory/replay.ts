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
  const rounded = new Float64Array(sizes.length);
  for (let i = 0; i < sizes.length; i++) rounded[i] = sizes[i] === 0 ? 0 : roundSize(sizes[i] as number);
  const phasePeaks = { forward: 0, backward: 0, optimizer: 0 };
  let [current, peak, peakEvent] = [0, 0, -1];
  let at: LoopPhase = 'forward';
  for (let m = -1; m < marks.length; m++) {
    const { phase, step } = marks[m] ?? { phase: 'between', step: -1 };
    if (step > STEADY_STEP) break;
    const end = marks[m + 1]?.at ?? events.length;
    let highest = 0;
    let highestEvent = -1;
    for (let i = marks[m]?.at ?? 0; i < end; i++) {
      const event = events[i] as number;
      if (event < 0) {
        current -= rounded[sizeIndex[-1 - event] as number] as number;
        continue;
      }
      current += rounded[sizeIndex[event] as number] as number;
      if (current <= highest) continue;
      highest = current;
      highestEvent = i;
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
  const live = new Float64Array(CATEGORIES.length);
  let requestedBytes = 0;
  for (let i = 0; i <= last; i++) {
    const event = events[i] as number;
    const id = event >= 0 ? event : -1 - event;
    const sign = event >= 0 ? 1 : -1;
    const size = sizeIndex[id] as number;
    const category = categories[id] as number;
    requestedBytes += sign * (sizes[size] as number);
    live[category] = (live[category] as number) + sign * (rounded[size] as number);
  }
  const breakdown = Object.fromEntries(CATEGORIES.map((name, i) => [name, live[i]])) as Record<Category, number>;
  return { requestedBytes, breakdown };
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

/** Plays the loop through the CUDA caching allocator; `workspaces` are library buffers made in the first step. */
export function replay(loop: Loop, sizes: Float64Array, options: ReplayOptions = {}, workspaces: readonly number[] = []): Reserved {
  const allocator = new CachingAllocator(options);
  const { events, sizeIndex, categories, marks } = loop;
  const blocks = new Int32Array(sizeIndex.length).fill(NO_BLOCK);
  const firstForward = marks[0]?.at ?? 0;
  for (let i = 0; i < events.length; i++) {
    if (i === firstForward) for (const bytes of workspaces) allocator.allocate(bytes);
    const event = events[i] as number;
    if (event < 0) {
      const block = blocks[-1 - event] as Block;
      if (block !== NO_BLOCK) allocator.free(block);
      continue;
    }
    const bytes = sizes[sizeIndex[event] as number] as number;
    if (bytes === 0) continue;
    // Without room for a workspace cuDNN takes an algorithm that needs none.
    blocks[event] = allocator.allocate(bytes, categories[event] === WORKSPACES);
    if (allocator.outOfMemory && options.stopsWhenFull) break;
  }
  const { peakAllocated, peakReserved, retries, outOfMemory } = allocator;
  return { peakAllocated, peakReserved, retries, outOfMemory };
}
