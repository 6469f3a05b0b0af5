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

/** Blocks cut from segments: sizes, addresses, and the neighbours in their segment. */
class Blocks {
  readonly size: number[] = [];
  readonly address: number[] = [];
  readonly small: boolean[] = [];
  readonly free: boolean[] = [];
  readonly previous: Block[] = [];
  readonly next: Block[] = [];

  add(size: number, address: number, small: boolean): Block {
    this.address.push(address);
    this.small.push(small);
    this.free.push(false);
    this.previous.push(NO_BLOCK);
    this.next.push(NO_BLOCK);
    return this.size.push(size) - 1;
  }
}

/** Free blocks by size, then by address: best fit is the first that is large enough. */
class Pool {
  // Typed, so that making room in the middle is one move of memory.
  private members = new Int32Array(256);
  private sizes = new Float64Array(256);
  private length = 0;

  constructor(private readonly blocks: Blocks) {}

  private position(size: number, address: number): number {
    const { sizes, members } = this;
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const at = sizes[middle] as number;
      if (at < size || (at === size && (this.blocks.address[members[middle] as Block] as number) < address)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
  add(block: Block): void {
    const size = this.blocks.size[block] as number;
    const at = this.position(size, this.blocks.address[block] as number);
    if (this.length === this.members.length) this.grow();
    this.move(at, at + 1);
    this.sizes[at] = size;
    this.members[at] = block;
    this.length++;
  }
  remove(block: Block): void {
    this.removeAt(this.position(this.blocks.size[block] as number, this.blocks.address[block] as number));
  }
  takeBest(size: number): Block {
    const at = this.position(size, -1);
    if (at === this.length) return NO_BLOCK;
    const block = this.members[at] as Block;
    this.removeAt(at);
    return block;
  }
  private removeAt(at: number): void {
    this.move(at + 1, at);
    this.length--;
  }
  /** Moves all from one place on to another. */
  private move(from: number, to: number): void {
    this.sizes.copyWithin(to, from, this.length);
    this.members.copyWithin(to, from, this.length);
  }
  private grow(): void {
    const { members, sizes } = this;
    this.members = new Int32Array(2 * this.length);
    this.sizes = new Float64Array(2 * this.length);
    this.members.set(members);
    this.sizes.set(sizes);
  }
  /** Whole segments without a block in use. */
  drain(): number {
    const { previous, next } = this.blocks;
    let bytes = 0;
    for (let i = this.length - 1; i >= 0; i--) {
      const block = this.members[i] as Block;
      if (previous[block] !== NO_BLOCK || next[block] !== NO_BLOCK) continue;
      bytes += this.sizes[i] as number;
      this.removeAt(i);
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
    let block = pool.takeBest(size);
    if (block === NO_BLOCK) block = this.newSegment(size, small, optional);
    if (block === NO_BLOCK) return block;
    const { blocks } = this;
    const rest = (blocks.size[block] as number) - size;
    if (small || this.expandable ? rest >= MIN_BLOCK : rest > SMALL_SIZE) {
      const remaining = blocks.add(rest, (blocks.address[block] as number) + size, small);
      const next = blocks.next[block] as Block;
      blocks.free[remaining] = true;
      blocks.previous[remaining] = block;
      blocks.next[remaining] = next;
      if (next !== NO_BLOCK) blocks.previous[next] = remaining;
      blocks.next[block] = remaining;
      blocks.size[block] = size;
      pool.add(remaining);
    }
    blocks.free[block] = false;
    this.allocated += blocks.size[block] as number;
    if (this.allocated > this.peakAllocated) this.peakAllocated = this.allocated;
    return block;
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
    const { size, small, free, previous, next } = this.blocks;
    this.allocated -= size[block] as number;
    const pool = small[block] ? this.small : this.large;
    let merged = block;
    free[block] = true;
    const before = previous[block] as Block;
    if (before !== NO_BLOCK && free[before]) {
      pool.remove(before);
      this.merge(before, block);
      merged = before;
    }
    const after = next[merged] as Block;
    if (after !== NO_BLOCK && free[after]) {
      pool.remove(after);
      this.merge(merged, after);
    }
    pool.add(merged);
  }

  /** Makes a block and the one after it one. */
  private merge(block: Block, after: Block): void {
    const { size, previous, next } = this.blocks;
    size[block] = (size[block] as number) + (size[after] as number);
    const further = next[after] as Block;
    next[block] = further;
    if (further !== NO_BLOCK) previous[further] = block;
  }
}
