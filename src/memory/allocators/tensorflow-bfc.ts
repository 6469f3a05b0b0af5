/**
 * TensorFlow's "best fit with coalescing" allocator (tensorflow/core/common_runtime/bfc_allocator.cc, the constants in
 * bfc_allocator.h): requests are rounded to 256 B, free chunks lie in 21 bins of sizes from 256 B times two to the bin's
 * number, a chunk is split where it is at least twice the request or 128 MiB larger, neighbours merge when freed.
 * Memory grows by regions, each twice the one before, from 2 MiB on (`allow_growth`); regions do not merge.
 */
import { MIB } from '../../units.js';

const SMALLEST_BITS = 8;
const SMALLEST = 2 ** SMALLEST_BITS;
const BINS = 21;
const FIRST_REGION = 2 * MIB;
/** A free chunk may be this much larger than the request before it is split in any case. */
const MOST_WASTED = 128 * MIB;

/** Bytes that the allocator hands out at least for a request. */
export function roundBfc(bytes: number): number {
  return Math.ceil(bytes / SMALLEST) * SMALLEST;
}

/** Number of the bin that chunks of a size lie in. */
export function binOf(bytes: number): number {
  const units = Math.max(bytes, SMALLEST) / SMALLEST;
  return Math.min(BINS - 1, Math.floor(Math.log2(units)));
}

export interface Chunk {
  size: number;
  readonly address: number;
  free: boolean;
  previous: Chunk | null;
  next: Chunk | null;
}

export interface BfcOptions {
  /** Bytes that all regions together may have. Default: no limit. */
  capacity?: number;
  /** Take the whole capacity in one region at the start, as TensorFlow does on a GPU unless it is told to grow. */
  whole?: boolean;
}

export class BfcAllocator {
  private readonly bins: Chunk[][] = Array.from({ length: BINS }, () => []);
  private readonly capacity: number;
  private nextRegion: number;
  private nextAddress = 0;
  allocated = 0;
  peakAllocated = 0;
  /** Sum of all regions; they are never given back. */
  reserved = 0;
  outOfMemory = false;

  constructor(options: BfcOptions = {}) {
    this.capacity = options.capacity ?? Number.POSITIVE_INFINITY;
    this.nextRegion = options.whole ? roundBfc(this.capacity) : Math.min(FIRST_REGION, roundBfc(this.capacity));
  }

  get peakReserved(): number {
    return this.reserved;
  }

  /** A chunk for a request of `bytes`. Sets `outOfMemory` where the capacity has no room left for it. */
  allocate(bytes: number): Chunk {
    const size = roundBfc(bytes);
    const chunk = this.take(size) ?? this.extend(size);
    if (chunk.size >= 2 * size || chunk.size - size >= MOST_WASTED) this.split(chunk, size);
    this.allocated += chunk.size;
    this.peakAllocated = Math.max(this.peakAllocated, this.allocated);
    return chunk;
  }

  free(chunk: Chunk): void {
    this.allocated -= chunk.size;
    chunk.free = true;
    let merged = chunk;
    const { next, previous } = chunk;
    if (next?.free) {
      this.remove(next);
      this.absorb(chunk, next);
    }
    if (previous?.free) {
      this.remove(previous);
      this.absorb(previous, chunk);
      merged = previous;
    }
    this.insert(merged);
  }

  /** The smallest free chunk that is large enough: bins from the request's own upwards, each in order of size. */
  private take(size: number): Chunk | null {
    for (let bin = binOf(size); bin < BINS; bin++) {
      const chunks = this.bins[bin] as Chunk[];
      const at = position(chunks, size, -1);
      const chunk = chunks[at];
      if (!chunk) continue;
      chunks.splice(at, 1);
      chunk.free = false;
      return chunk;
    }
    return null;
  }

  /** A new region: as large as the next one is to be, doubled until the request fits, at most what is left. */
  private extend(size: number): Chunk {
    const available = Math.floor((this.capacity - this.reserved) / SMALLEST) * SMALLEST;
    if (size > available) this.outOfMemory = true;
    let increased = false;
    while (size > this.nextRegion) {
      this.nextRegion *= 2;
      increased = true;
    }
    const region = this.outOfMemory ? size : Math.min(this.nextRegion, available);
    if (!increased) this.nextRegion *= 2;
    this.reserved += region;
    const chunk: Chunk = { size: region, address: this.nextAddress, free: false, previous: null, next: null };
    this.nextAddress += region;
    return chunk;
  }

  private split(chunk: Chunk, size: number): void {
    const rest: Chunk = { size: chunk.size - size, address: chunk.address + size, free: true, previous: chunk, next: chunk.next };
    if (chunk.next) chunk.next.previous = rest;
    chunk.next = rest;
    chunk.size = size;
    this.insert(rest);
  }

  private absorb(kept: Chunk, gone: Chunk): void {
    kept.size += gone.size;
    kept.next = gone.next;
    if (gone.next) gone.next.previous = kept;
  }

  private insert(chunk: Chunk): void {
    const chunks = this.bins[binOf(chunk.size)] as Chunk[];
    chunks.splice(position(chunks, chunk.size, chunk.address), 0, chunk);
  }

  private remove(chunk: Chunk): void {
    const chunks = this.bins[binOf(chunk.size)] as Chunk[];
    chunks.splice(position(chunks, chunk.size, chunk.address), 1);
  }
}

/** Where a chunk of this size and address is, or belongs, among chunks sorted by size and then address. */
function position(chunks: readonly Chunk[], size: number, address: number): number {
  let low = 0;
  let high = chunks.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const chunk = chunks[middle] as Chunk;
    if (chunk.size < size || (chunk.size === size && chunk.address < address)) low = middle + 1;
    else high = middle;
  }
  return low;
}
