/**
 * PyTorch's CUDA caching allocator for one stream (c10/cuda/CUDACachingAllocator.cpp, constants in
 * c10/core/AllocatorConfig.h): requests are rounded to 512 B, small ones share 2 MiB segments, large ones 20 MiB or
 * their own; the best fitting free block is split, neighbours merge when freed, segments stay reserved.
 */
import { MIB } from '../../units.js';

const MIN_BLOCK = 512;
const SMALL_SIZE = MIB;
const SMALL_SEGMENT = 2 * MIB;
const MIN_LARGE = 10 * MIB;
const LARGE_SEGMENT = 20 * MIB;
const ROUND_LARGE = 2 * MIB;

/** Bytes that the allocator hands out for a request. */
export function roundSize(bytes: number): number {
  return bytes < MIN_BLOCK ? MIN_BLOCK : Math.ceil(bytes / MIN_BLOCK) * MIN_BLOCK;
}

function segmentSize(size: number): number {
  if (size <= SMALL_SIZE) return SMALL_SEGMENT;
  return size < MIN_LARGE ? LARGE_SEGMENT : Math.ceil(size / ROUND_LARGE) * ROUND_LARGE;
}

/** A block by its number. Blocks are columns of numbers, not objects: a replay makes tens of thousands of them. */
export type Block = number;

/** Stands where there is no block. */
export const NO_BLOCK = -1;

/** Blocks cut from segments: sizes, addresses, and the neighbours in their segment. A merged block's number is used again. */
class Blocks {
  // Typed, and written in place: a replay makes tens of thousands of blocks.
  size = new Float64Array(1024);
  address = new Float64Array(1024);
  previous = new Int32Array(1024);
  next = new Int32Array(1024);
  small = new Uint8Array(1024);
  free = new Uint8Array(1024);
  private made = 0;
  private readonly spare: Block[] = [];

  add(size: number, address: number, small: boolean): Block {
    const block = this.spare.pop() ?? this.made++;
    if (block === this.size.length) this.grow();
    this.size[block] = size;
    this.address[block] = address;
    this.small[block] = small ? 1 : 0;
    this.free[block] = 0;
    this.previous[block] = NO_BLOCK;
    this.next[block] = NO_BLOCK;
    return block;
  }

  /** Makes a block and the one after it one. */
  merge(block: Block, after: Block): void {
    const { size, previous, next } = this;
    size[block] = (size[block] as number) + (size[after] as number);
    const further = next[after] as Block;
    next[block] = further;
    if (further !== NO_BLOCK) previous[further] = block;
    this.spare.push(after);
  }

  private grow(): void {
    this.size = enlarged(this.size);
    this.address = enlarged(this.address);
    this.previous = enlarged(this.previous);
    this.next = enlarged(this.next);
    this.small = enlarged(this.small);
    this.free = enlarged(this.free);
  }
}

function enlarged<T extends Float64Array | Int32Array | Uint8Array>(column: T): T {
  const larger = new (column.constructor as new (length: number) => T)(2 * column.length);
  larger.set(column);
  return larger;
}

/**
 * Free blocks by size, then by address: best fit is the first that is large enough. Training makes hundreds of blocks of
 * few sizes, so each size has its own list, the lowest address last: most come and go there.
 */
class Pool {
  /** The sizes that there are blocks of, ascending, and their blocks. */
  private readonly sizes: number[] = [];
  private readonly lists: Block[][] = [];
  private readonly spare: Block[][] = [];

  constructor(private readonly blocks: Blocks) {}

  /** Index of the first list of blocks of at least this size. */
  private position(size: number): number {
    const { sizes } = this;
    let low = 0;
    let high = sizes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sizes[middle] as number) < size) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  add(block: Block): void {
    const { address, size } = this.blocks;
    const bytes = size[block] as number;
    const at = this.position(bytes);
    if (this.sizes[at] !== bytes) this.open(at, bytes);
    const list = this.lists[at] as Block[];
    const from = address[block] as number;
    let i = list.push(block) - 1;
    for (; i > 0 && (address[list[i - 1] as Block] as number) < from; i--) list[i] = list[i - 1] as Block;
    list[i] = block;
  }

  remove(block: Block): void {
    const at = this.position(this.blocks.size[block] as number);
    const list = this.lists[at] as Block[];
    // Each moves one place down, from the last to where the block was.
    let above = list.pop() as Block;
    for (let i = list.length - 1; above !== block; i--) {
      const here = list[i] as Block;
      list[i] = above;
      above = here;
    }
    if (list.length === 0) this.close(at);
  }

  takeBest(size: number): Block {
    const at = this.position(size);
    const list = this.lists[at];
    if (!list) return NO_BLOCK;
    const block = list.pop() as Block;
    if (list.length === 0) this.close(at);
    return block;
  }

  private open(at: number, bytes: number): void {
    const { sizes, lists } = this;
    sizes.push(bytes);
    lists.push(this.spare.pop() ?? []);
    const list = lists[lists.length - 1] as Block[];
    for (let i = sizes.length - 1; i > at; i--) {
      sizes[i] = sizes[i - 1] as number;
      lists[i] = lists[i - 1] as Block[];
    }
    sizes[at] = bytes;
    lists[at] = list;
  }

  private close(at: number): void {
    const { sizes, lists } = this;
    this.spare.push(lists[at] as Block[]);
    for (let i = at + 1; i < sizes.length; i++) {
      sizes[i - 1] = sizes[i] as number;
      lists[i - 1] = lists[i] as Block[];
    }
    sizes.pop();
    lists.pop();
  }

  /** Frees whole segments without a block in use. */
  drain(): number {
    const { previous, next, size } = this.blocks;
    let bytes = 0;
    for (const block of this.lists.flat()) {
      if (previous[block] !== NO_BLOCK || next[block] !== NO_BLOCK) continue;
      bytes += size[block] as number;
      this.remove(block);
    }
    return bytes;
  }
}

export interface CachingAllocatorOptions {
  /** Bytes that may be reserved; when more is needed cached segments are freed first. Default: no limit. */
  capacity?: number;
  /** Segments grow instead of being cut from new ones (PYTORCH_ALLOC_CONF=expandable_segments:True). */
  expandableSegments?: boolean;
}

export class CachingAllocator {
  private readonly blocks = new Blocks();
  private readonly small = new Pool(this.blocks);
  private readonly large = new Pool(this.blocks);
  private nextAddress = 0;
  private readonly capacity: number;
  private readonly expandable: boolean;
  allocated = 0;
  reserved = 0;
  peakAllocated = 0;
  peakReserved = 0;
  /** Times that cached segments had to be freed to go on (num_alloc_retries). */
  retries = 0;
  /** Set when a request did not fit even then. */
  outOfMemory = false;

  constructor(options: CachingAllocatorOptions = {}) {
    this.capacity = options.capacity ?? Number.POSITIVE_INFINITY;
    this.expandable = options.expandableSegments ?? false;
  }

  /** A block of at least `bytes`; NO_BLOCK for an optional one that finds no room. */
  allocate(bytes: number, optional = false): Block {
    const size = roundSize(bytes);
    const small = size <= SMALL_SIZE;
    const pool = small ? this.small : this.large;
    const { blocks } = this;
    let block = pool.takeBest(size);
    if (block === NO_BLOCK) block = this.newSegment(size, small, optional);
    if (block === NO_BLOCK) return block;
    const rest = (blocks.size[block] as number) - size;
    if (small || this.expandable ? rest >= MIN_BLOCK : rest > SMALL_SIZE) pool.add(this.split(block, size));
    blocks.free[block] = 0;
    this.allocated += blocks.size[block] as number;
    if (this.allocated > this.peakAllocated) this.peakAllocated = this.allocated;
    return block;
  }

  /** Cuts a block down to `size` and returns the free rest. */
  private split(block: Block, size: number): Block {
    const { blocks } = this;
    const rest = (blocks.size[block] as number) - size;
    const remaining = blocks.add(rest, (blocks.address[block] as number) + size, blocks.small[block] === 1);
    const next = blocks.next[block] as Block;
    blocks.free[remaining] = 1;
    blocks.previous[remaining] = block;
    blocks.next[remaining] = next;
    if (next !== NO_BLOCK) blocks.previous[next] = remaining;
    blocks.next[block] = remaining;
    blocks.size[block] = size;
    return remaining;
  }

  private newSegment(size: number, small: boolean, optional: boolean): Block {
    const bytes = this.expandable
      ? Math.ceil(size / (small ? SMALL_SEGMENT : LARGE_SEGMENT)) * (small ? SMALL_SEGMENT : LARGE_SEGMENT)
      : segmentSize(size);
    if (this.reserved + bytes > this.capacity) {
      this.retries++;
      this.reserved -= this.small.drain() + this.large.drain();
      const full = this.reserved + bytes > this.capacity;
      if (full && optional) return NO_BLOCK;
      if (full) this.outOfMemory = true;
    }
    this.reserved += bytes;
    if (this.reserved > this.peakReserved) this.peakReserved = this.reserved;
    const block = this.blocks.add(bytes, this.nextAddress, small);
    // Segments never touch: a gap keeps blocks of two segments from looking like neighbours.
    this.nextAddress += bytes + ROUND_LARGE;
    return block;
  }

  free(block: Block): void {
    const { blocks } = this;
    this.allocated -= blocks.size[block] as number;
    const pool = blocks.small[block] ? this.small : this.large;
    blocks.free[block] = 1;
    let merged = block;
    const before = blocks.previous[block] as Block;
    if (before !== NO_BLOCK && blocks.free[before] === 1) {
      pool.remove(before);
      blocks.merge(before, block);
      merged = before;
    }
    const after = blocks.next[merged] as Block;
    if (after !== NO_BLOCK && blocks.free[after] === 1) {
      pool.remove(after);
      blocks.merge(merged, after);
    }
    pool.add(merged);
  }
}
