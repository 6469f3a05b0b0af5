/** Plays a loop through an allocator that is not CUDA's caching one. */
import type { TargetDevice } from '../machine/machine.js';
import type { Setup } from '../setup.js';
import { ExpandableAllocator } from './allocators/cuda-expandable.js';
import { MallocAllocator } from './allocators/malloc.js';
import { BfcAllocator, type Chunk } from './allocators/tensorflow-bfc.js';
import type { Loop } from './loop.js';
import { type ReplayOptions, type Reserved, WORKSPACES } from './replay.js';

export const ALLOCATORS = ['cuda-caching', 'cuda-expandable', 'tensorflow-bfc', 'malloc'] as const;
export type AllocatorName = (typeof ALLOCATORS)[number];

/** Which allocator the framework has on a kind of device. Those of other accelerators are built like CUDA's. */
export function allocatorOf(
  setup: Setup,
  { kind, expandableSegments = false }: Pick<TargetDevice, 'kind' | 'expandableSegments'>,
): AllocatorName {
  if (kind === 'cpu') return 'malloc';
  if (setup.framework === 'tensorflow') return 'tensorflow-bfc';
  return expandableSegments ? 'cuda-expandable' : 'cuda-caching';
}

/** Peaks of the loop under CUDA's allocator with expandable segments; `workspaces` are library buffers made in the first step. */
export function replayExpandable(
  loop: Loop,
  sizes: Float64Array,
  options: ReplayOptions = {},
  workspaces: readonly number[] = [],
): Reserved {
  const allocator = new ExpandableAllocator(options);
  const pieces: ReturnType<ExpandableAllocator['allocate']>[] = [];
  const { events, sizeIndex, categories, marks } = loop;
  for (let i = 0; i < events.length; i++) {
    if (i === (marks[0]?.at ?? 0)) for (const bytes of workspaces) allocator.allocate(bytes);
    const event = events[i] as number;
    const bytes = sizes[sizeIndex[i] as number] as number;
    if (event < 0) {
      const piece = pieces[-1 - event];
      if (piece) allocator.free(piece);
    } else pieces[event] = bytes === 0 ? null : allocator.allocate(bytes, categories[i] === WORKSPACES);
    if (options.stopsWhenFull && allocator.outOfMemory) break;
  }
  const { peakAllocated, peakReserved, retries, outOfMemory } = allocator;
  return { peakAllocated, peakReserved, retries, outOfMemory };
}

/** Peaks of the loop under TensorFlow's allocator, growing as it needs. */
export function replayBfc(loop: Loop, sizes: Float64Array, options: ReplayOptions = {}): Reserved {
  const allocator = new BfcAllocator(options.capacity === undefined ? {} : { capacity: options.capacity });
  const chunks: Chunk[] = [];
  play(loop, sizes, {
    birth: (slot, bytes) => {
      chunks[slot] = allocator.allocate(bytes);
      return !(allocator.outOfMemory && options.stopsWhenFull);
    },
    death: (slot) => allocator.free(chunks[slot] as Chunk),
  });
  const { peakAllocated, peakReserved, outOfMemory } = allocator;
  return { peakAllocated, peakReserved, retries: 0, outOfMemory };
}

/** Peaks of the loop in a host's memory. */
export function replayMalloc(loop: Loop, sizes: Float64Array, options: ReplayOptions = {}): Reserved {
  const allocator = new MallocAllocator();
  const blocks: number[] = [];
  play(loop, sizes, {
    birth: (slot, bytes) => {
      blocks[slot] = allocator.allocate(bytes);
      return true;
    },
    death: (slot) => allocator.free(blocks[slot] as number),
  });
  const { peakAllocated, peakReserved } = allocator;
  return { peakAllocated, peakReserved, retries: 0, outOfMemory: peakReserved > (options.capacity ?? Number.POSITIVE_INFINITY) };
}

interface Player {
  /** False stops the loop. */
  birth: (slot: number, bytes: number) => boolean;
  death: (slot: number) => void;
}

/** Convolutions of other frameworks and devices are not known to ask for workspaces. */
function play({ events, sizeIndex, categories }: Loop, sizes: Float64Array, player: Player): void {
  for (let i = 0; i < events.length; i++) {
    const bytes = sizes[sizeIndex[i] as number] as number;
    if (bytes === 0 || categories[i] === WORKSPACES) continue;
    const event = events[i] as number;
    if (event < 0) player.death(-1 - event);
    else if (!player.birth(event, bytes)) return;
  }
}
