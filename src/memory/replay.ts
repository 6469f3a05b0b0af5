/** Plays a loop through an allocator and reads the peaks. */

import { CATEGORIES, type Category } from '../trace/index.js';
import { CachingAllocator, type CachingAllocatorOptions, roundSize } from './allocators/cuda-caching.js';
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

/** Walks the loop once and finds the steady step's peak and what it is made of. */
export function tensorPeak(loop: Loop, sizes: readonly number[]): TensorPeak {
  const live = Object.fromEntries(CATEGORIES.map((c) => [c, 0])) as Record<Category, number>;
  const peak: TensorPeak = {
    bytes: 0,
    requestedBytes: 0,
    at: 'forward',
    phasePeaks: { forward: 0, backward: 0, optimizer: 0 },
    breakdown: { ...live },
  };
  let current = 0;
  let requested = 0;
  let mark = 0;
  let phase: LoopPhase | 'between' | null = null;
  let step = -1;
  const { events, sizeIndex, categories } = loop;
  for (let i = 0; i < events.length; i++) {
    while (loop.marks[mark]?.at === i) ({ phase, step } = loop.marks[mark++] as Loop['marks'][number]);
    const event = events[i] as number;
    const id = event >= 0 ? event : -1 - event;
    const bytes = sizes[sizeIndex[id] as number] as number;
    if (bytes === 0) continue;
    const rounded = event >= 0 ? roundSize(bytes) : -roundSize(bytes);
    current += rounded;
    requested += event >= 0 ? bytes : -bytes;
    live[categories[id] as Category] += rounded;
    if (event < 0 || step !== STEADY_STEP || phase === null || phase === 'between') continue;
    if (current > peak.phasePeaks[phase]) peak.phasePeaks[phase] = current;
    if (current > peak.bytes) {
      peak.bytes = current;
      peak.requestedBytes = requested;
      peak.at = phase;
      peak.breakdown = { ...live };
    }
  }
  return peak;
}

export interface Reserved {
  peakAllocated: number;
  peakReserved: number;
  retries: number;
  outOfMemory: boolean;
}

/** Plays the loop through the CUDA caching allocator; `workspaces` are library buffers made in the first step. */
export function replay(
  loop: Loop,
  sizes: readonly number[],
  options: CachingAllocatorOptions = {},
  workspaces: readonly number[] = [],
): Reserved {
  const allocator = new CachingAllocator(options);
  const blocks: ReturnType<CachingAllocator['allocate']>[] = [];
  const { events, sizeIndex } = loop;
  const firstForward = loop.marks[0]?.at ?? 0;
  for (let i = 0; i < events.length; i++) {
    if (i === firstForward) for (const bytes of workspaces) allocator.allocate(bytes);
    const event = events[i] as number;
    const id = event >= 0 ? event : -1 - event;
    const bytes = sizes[sizeIndex[id] as number] as number;
    if (bytes === 0) continue;
    if (event >= 0) blocks[id] = allocator.allocate(bytes);
    else allocator.free(blocks[id] as (typeof blocks)[number]);
  }
  return {
    peakAllocated: allocator.peakAllocated,
    peakReserved: allocator.peakReserved,
    retries: allocator.retries,
    outOfMemory: allocator.outOfMemory,
  };
}
