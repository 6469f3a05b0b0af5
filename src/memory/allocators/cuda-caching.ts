/**
 * PyTorch's CUDA caching allocator for one stream (c10/cuda/CUDACachingAllocator.cpp, constants in
 * c10/core/AllocatorConfig.h): requests are rounded to 512 B, small ones share 2 MiB segments, large ones 20 MiB or
 * their own; the best fitting free block is split, neighbours merge when freed, segments stay reserved.
 */
import { BUCKET_BITS, bucketOf, lowestBit, POOL_BITS, POOLS, WORD_BITS } from './buckets.js';
import { MIN_BLOCK, poolOf, ROUND_LARGE, requestBucket, roundSize, SMALL_SIZE, segmentSize } from './cuda-requests.js';

/** A block by its number. Blocks are columns of numbers, not objects: a replay makes tens of thousands of them. */
export type Block = number;

/** Stands where there is no block. */
export const NO_BLOCK = -1;

/** Stands for the place in a list of a block that is in none, because it is in use. */
const IN_USE = 2 ** 31 - 1;

export interface CachingAllocatorOptions {
  /** Bytes that may be reserved; when more is needed cached segments are freed first. Default: no limit. */
  capacity?: number;
}

/** Where an allocator's sums lie: in a field of its own each write of a large number could make another object. */
const ALLOCATED = 0;
const RESERVED = 1;
const PEAK_ALLOCATED = 2;
const PEAK_RESERVED = 3;
const NEXT_ADDRESS = 4;
const SUMS = 5;

/** Blocks that there is room for at first: more than a model of a hundred layers ever has at a time. */
const BLOCKS = 2 ** 14;

/**
 * Free blocks lie by size, then by address: best fit is the first that is large enough. Each bucket of sizes has a list in this
 * order, and bits say which have blocks: nothing is searched for but inside a list, where nearly all have one size.
 */
export class CachingAllocator {
  // Columns of blocks. A field that is written once is a constant to V8, so they are made large enough for nearly all.
  private size = new Float64Array(BLOCKS);
  private address = new Float64Array(BLOCKS);
  private pool = new Int32Array(BLOCKS);
  /** Neighbours in the segment. */
  private previous = new Int32Array(BLOCKS);
  private next = new Int32Array(BLOCKS);
  /** Neighbours in a bucket's list; its first block has -1 - bucket before it, a block in use IN_USE. */
  private before = new Int32Array(BLOCKS);
  private after = new Int32Array(BLOCKS);
  /** Numbers of merged blocks, to be used again, as many as `unused`; from `made` on none has been used. */
  private spare = new Int32Array(BLOCKS);
  private unused = 0;
  private made = 0;
  /** First blocks of the buckets, a bit for each that has one, and for each pool a bit for each of its words that has one. */
  private readonly heads = new Int32Array(POOLS << POOL_BITS);
  private readonly words = new Int32Array((POOLS << POOL_BITS) >> BUCKET_BITS);
  private readonly summaries = new Int32Array(POOLS);
  private readonly sums = new Float64Array(SUMS);
  private capacity = Number.POSITIVE_INFINITY;
  /** Times that cached segments had to be freed to go on (num_alloc_retries). */
  retries = 0;
  /** Set when a request did not fit even then. */
  outOfMemory = false;

  constructor(options: CachingAllocatorOptions = {}) {
    this.reset(options);
  }

  /** Begins anew, in the same columns. */
  reset(options: CachingAllocatorOptions): void {
    this.capacity = options.capacity ?? Number.POSITIVE_INFINITY;
    this.heads.fill(NO_BLOCK);
    for (const column of [this.words, this.summaries, this.sums]) column.fill(0);
    this.unused = 0;
    this.made = 0;
    this.retries = 0;
    this.outOfMemory = false;
  }

  get allocated(): number {
    return this.sums[ALLOCATED] as number;
  }

  get reserved(): number {
    return this.sums[RESERVED] as number;
  }

  get peakAllocated(): number {
    return this.sums[PEAK_ALLOCATED] as number;
  }

  get peakReserved(): number {
    return this.sums[PEAK_RESERVED] as number;
  }

  /** A block of at least `bytes`; NO_BLOCK for an optional one that finds no room. */
  allocate(bytes: number, optional = false): Block {
    const size = roundSize(bytes);
    return this.take(size, requestBucket(size), optional);
  }

  /** The same for a size that is rounded, with its `requestBucket`. */
  take(bytes: number, bucket: number, optional: boolean): Block {
    const { sums } = this;
    let block = this.best(bytes, bucket);
    if (block !== NO_BLOCK) this.remove(block);
    else block = this.newSegment(bytes, optional);
    if (block === NO_BLOCK) return block;
    const rest = (this.size[block] as number) - bytes;
    if (bytes <= SMALL_SIZE ? rest >= MIN_BLOCK : rest > SMALL_SIZE) this.split(block, bytes, rest);
    const allocated = (sums[ALLOCATED] as number) + (this.size[block] as number);
    sums[ALLOCATED] = allocated;
    if (allocated > (sums[PEAK_ALLOCATED] as number)) sums[PEAK_ALLOCATED] = allocated;
    return block;
  }

  free(block: Block): void {
    const { size, previous, next, before, spare, sums } = this;
    let bytes = size[block] as number;
    sums[ALLOCATED] = (sums[ALLOCATED] as number) - bytes;
    let merged = block;
    const lower = previous[block] as Block;
    let upper = next[block] as Block;
    if (upper !== NO_BLOCK && before[upper] !== IN_USE) {
      this.remove(upper);
      bytes += size[upper] as number;
      spare[this.unused++] = upper;
      upper = next[upper] as Block;
    }
    if (lower !== NO_BLOCK && before[lower] !== IN_USE) {
      this.remove(lower);
      bytes += size[lower] as number;
      spare[this.unused++] = block;
      merged = lower;
    }
    next[merged] = upper;
    if (upper !== NO_BLOCK) previous[upper] = merged;
    this.add(merged, bytes);
  }

  /** Cuts a block down to `bytes`; the rest is free. */
  private split(block: Block, bytes: number, rest: number): void {
    const remaining = this.newBlock();
    const { size, address, pool, previous, next } = this;
    const upper = next[block] as Block;
    address[remaining] = (address[block] as number) + bytes;
    pool[remaining] = pool[block] as number;
    previous[remaining] = block;
    next[remaining] = upper;
    if (upper !== NO_BLOCK) previous[upper] = remaining;
    next[block] = remaining;
    size[block] = bytes;
    this.add(remaining, rest);
  }

  /** A number for a block. The columns may be others afterwards. */
  private newBlock(): Block {
    if (this.unused > 0) return this.spare[--this.unused] as Block;
    if (this.made === this.size.length) this.grow();
    return this.made++;
  }

  private grow(): void {
    this.size = enlarged(this.size);
    this.address = enlarged(this.address);
    this.pool = enlarged(this.pool);
    this.previous = enlarged(this.previous);
    this.next = enlarged(this.next);
    this.before = enlarged(this.before);
    this.after = enlarged(this.after);
    this.spare = enlarged(this.spare);
  }

  private newSegment(bytes: number, optional: boolean): Block {
    const { sums } = this;
    const size = segmentSize(bytes);
    if ((sums[RESERVED] as number) + size > this.capacity) {
      this.retries++;
      sums[RESERVED] = (sums[RESERVED] as number) - this.drain();
      const full = (sums[RESERVED] as number) + size > this.capacity;
      if (full && optional) return NO_BLOCK;
      if (full) this.outOfMemory = true;
    }
    const reserved = (sums[RESERVED] as number) + size;
    sums[RESERVED] = reserved;
    if (reserved > (sums[PEAK_RESERVED] as number)) sums[PEAK_RESERVED] = reserved;
    const block = this.newBlock();
    this.size[block] = size;
    this.address[block] = sums[NEXT_ADDRESS] as number;
    this.pool[block] = poolOf(bytes);
    this.previous[block] = NO_BLOCK;
    this.next[block] = NO_BLOCK;
    this.before[block] = IN_USE;
    // Segments never touch: a gap keeps blocks of two segments from looking like neighbours.
    sums[NEXT_ADDRESS] = (sums[NEXT_ADDRESS] as number) + size + ROUND_LARGE;
    return block;
  }

  /** Puts a block into its list. */
  private add(block: Block, bytes: number): void {
    const { size, address, before, after, heads, words, summaries } = this;
    const bucket = (this.pool[block] as number) + bucketOf(bytes);
    let lower = -1 - bucket;
    let upper = heads[bucket] as Block;
    if (upper === NO_BLOCK) {
      const word = bucket >> BUCKET_BITS;
      words[word] = (words[word] as number) | (1 << bucket);
      const which = bucket >> POOL_BITS;
      summaries[which] = (summaries[which] as number) | (1 << word);
    } else {
      const from = address[block] as number;
      while (upper !== NO_BLOCK) {
        const larger = (size[upper] as number) - bytes;
        if (larger > 0 || (larger === 0 && (address[upper] as number) > from)) break;
        lower = upper;
        upper = after[upper] as Block;
      }
    }
    size[block] = bytes;
    before[block] = lower;
    after[block] = upper;
    if (upper !== NO_BLOCK) before[upper] = block;
    if (lower < 0) heads[bucket] = block;
    else after[lower] = block;
  }

  /** Takes a block out of its list: it is in use. */
  private remove(block: Block): void {
    const { before, after, words, summaries } = this;
    const lower = before[block] as Block;
    const upper = after[block] as Block;
    before[block] = IN_USE;
    if (upper !== NO_BLOCK) before[upper] = lower;
    if (lower >= 0) {
      after[lower] = upper;
      return;
    }
    const bucket = -1 - lower;
    this.heads[bucket] = upper;
    if (upper !== NO_BLOCK) return;
    const word = bucket >> BUCKET_BITS;
    const bits = (words[word] as number) & ~(1 << bucket);
    words[word] = bits;
    const which = bucket >> POOL_BITS;
    if (bits === 0) summaries[which] = (summaries[which] as number) & ~(1 << word);
  }

  /** The smallest free block of at least this size, of several the one at the lowest address. */
  private best(bytes: number, bucket: number): Block {
    const { size, after, heads, words } = this;
    let block = heads[bucket] as Block;
    while (block !== NO_BLOCK && (size[block] as number) < bytes) block = after[block] as Block;
    if (block !== NO_BLOCK) return block;
    let word = bucket >> BUCKET_BITS;
    let bits = (words[word] as number) & (-2 << bucket);
    if (bits === 0) {
      const further = (this.summaries[bucket >> POOL_BITS] as number) & (-2 << word);
      if (further === 0) return NO_BLOCK;
      word = ((bucket >> POOL_BITS) << WORD_BITS) + lowestBit(further);
      bits = words[word] as number;
    }
    return heads[(word << BUCKET_BITS) + lowestBit(bits)] as Block;
  }

  /** Frees whole segments without a block in use. Returns their bytes. */
  private drain(): number {
    const { size, previous, next, after } = this;
    let bytes = 0;
    for (const head of this.heads) {
      let block = head;
      while (block !== NO_BLOCK) {
        const further = after[block] as Block;
        if (previous[block] === NO_BLOCK && next[block] === NO_BLOCK) {
          bytes += size[block] as number;
          this.remove(block);
        }
        block = further;
      }
    }
    return bytes;
  }
}

function enlarged<T extends Float64Array | Int32Array>(column: T): T {
  const larger = new (column.constructor as new (length: number) => T)(2 * column.length);
  larger.set(column);
  return larger;
}
