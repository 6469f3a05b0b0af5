/** Plays a loop through an allocator that is not CUDA's caching one. */
import type { Setup } from '../setup.js';
import { MallocAllocator } from './allocators/malloc.js';
import { BfcAllocator, type Chunk } from './allocators/tensorflow-bfc.js';
import type { Loop } from './loop.js';
import { type ReplayOptions, type Reserved, WORKSPACES } from './replay.js';

export const ALLOCATORS = ['cuda-caching', 'tensorflow-bfc', 'malloc'] as const;
export type AllocatorName = (typeof ALLOCATORS)[number];

/** Which allocator the framework has on a kind of device. Those of other accelerators are built like CUDA's. */
export function allocatorOf(setup: Setup, kind: string): AllocatorName {
  if (kind === 'cpu') return 'malloc';
  return setup.framework === 'tensorflow' ? 'tensorflow-bfc' : 'cuda-caching';
}

/** Peaks of the loop under TensorFlow's allocator, growing as it needs. */
export function replayBfc(loop: Loop, sizes: Float64Array, options: ReplayOptions = {}): Reserved {
  const allocator = new BfcAllocator(options.capacity === undefined ? {} : { capacity: options.capacity });
  const chunks: Chunk[] = [];
  play(loop, sizes, {
    birth: (id, bytes) => {
      chunks[id] = allocator.allocate(bytes);
      return !(allocator.outOfMemory && options.stopsWhenFull);
    },
    death: (id) => allocator.free(chunks[id] as Chunk),
  });
  const { peakAllocated, peakReserved, outOfMemory } = allocator;
  return { peakAllocated, peakReserved, retries: 0, outOfMemory };
}

/** Peaks of the loop in a host's memory. */
export function replayMalloc(loop: Loop, sizes: Float64Array, options: ReplayOptions = {}): Reserved {
  const allocator = new MallocAllocator();
  const blocks: number[] = [];
  play(loop, sizes, {
    birth: (id, bytes) => {
      blocks[id] = allocator.allocate(bytes);
      return true;
    },
    death: (id) => allocator.free(blocks[id] as number),
  });
  const { peakAllocated, peakReserved } = allocator;
  return { peakAllocated, peakReserved, retries: 0, outOfMemory: peakReserved > (options.capacity ?? Number.POSITIVE_INFINITY) };
}

interface Player {
  /** False stops the loop. */
  birth: (id: number, bytes: number) => boolean;
  death: (id: number) => void;
}

/** Convolutions of other frameworks and devices are not known to ask for workspaces. */
function play({ events, sizeIndex, categories }: Loop, sizes: Float64Array, player: Player): void {
  for (const event of events) {
    const id = event >= 0 ? event : -1 - event;
    const bytes = sizes[sizeIndex[id] as number] as number;
    if (bytes === 0 || categories[id] === WORKSPACES) continue;
    if (event < 0) player.death(id);
    else if (!player.birth(id, bytes)) return;
  }
}
