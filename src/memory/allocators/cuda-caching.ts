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

class Block {
  free = false;
  previous: Block | null = null;
  next: Block | null = null;
  constructor(
    public size: number,
    readonly address: number,
    readonly small: boolean,
  ) {}
}

/** Free blocks by size, then by address: best fit is the first that is large enough. */
class Pool {
  private readonly blocks: Block[] = [];

  private position(size: number, address: number): number {
    let low = 0;
    let high = this.blocks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const block = this.blocks[middle] as Block;
      if (block.size < size || (block.size === size && block.address < address)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
  add(block: Block): void {
    const { blocks } = this;
    const at = this.position(block.size, block.address);
    for (let i = blocks.length; i > at; i--) blocks[i] = blocks[i - 1] as Block;
    blocks[at] = block;
  }
  remove(block: Block): void {
    this.removeAt(this.position(block.size, block.address));
  }
  takeBest(size: number): Block | null {
    const at = this.position(size, -1);
    const block = this.blocks[at];
    if (!block) return null;
    this.removeAt(at);
    return block;
  }
  private removeAt(at: number): void {
    const { blocks } = this;
    for (let i = at + 1; i < blocks.length; i++) blocks[i - 1] = blocks[i] as Block;
    blocks.pop();
  }
  /** Whole segments without a block in use. */
  drain(): number {
    let bytes = 0;
    for (let i = this.blocks.length - 1; i >= 0; i--) {
      const block = this.blocks[i] as Block;
      if (block.previous || block.next) continue;
      bytes += block.size;
      this.blocks.splice(i, 1);
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
  private readonly small = new Pool();
  private readonly large = new Pool();
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

  allocate(bytes: number): Block {
    const size = roundSize(bytes);
    const small = size <= SMALL_SIZE;
    const pool = small ? this.small : this.large;
    const block = pool.takeBest(size) ?? this.newSegment(size, small);
    const rest = block.size - size;
    if (small || this.expandable ? rest >= MIN_BLOCK : rest > SMALL_SIZE) {
      const remaining = new Block(rest, block.address + size, small);
      remaining.free = true;
      remaining.previous = block;
      remaining.next = block.next;
      if (block.next) block.next.previous = remaining;
      block.next = remaining;
      block.size = size;
      pool.add(remaining);
    }
    block.free = false;
    this.allocated += block.size;
    if (this.allocated > this.peakAllocated) this.peakAllocated = this.allocated;
    return block;
  }

  private newSegment(size: number, small: boolean): Block {
    const bytes = this.expandable
      ? Math.ceil(size / (small ? SMALL_SEGMENT : LARGE_SEGMENT)) * (small ? SMALL_SEGMENT : LARGE_SEGMENT)
      : segmentSize(size);
    if (this.reserved + bytes > this.capacity) {
      this.retries++;
      this.reserved -= this.small.drain() + this.large.drain();
      if (this.reserved + bytes > this.capacity) this.outOfMemory = true;
    }
    this.reserved += bytes;
    if (this.reserved > this.peakReserved) this.peakReserved = this.reserved;
    const block = new Block(bytes, this.nextAddress, small);
    // Segments never touch: a gap keeps blocks of two segments from looking like neighbours.
    this.nextAddress += bytes + ROUND_LARGE;
    return block;
  }

  free(block: Block): void {
    this.allocated -= block.size;
    const pool = block.small ? this.small : this.large;
    let merged = block;
    block.free = true;
    const before = block.previous;
    if (before?.free) {
      pool.remove(before);
      before.size += block.size;
      before.next = block.next;
      if (block.next) block.next.previous = before;
      merged = before;
    }
    const after = merged.next;
    if (after?.free) {
      pool.remove(after);
      merged.size += after.size;
      merged.next = after.next;
      if (after.next) after.next.previous = merged;
    }
    pool.add(merged);
  }
}

export type { Block };
