/** What CUDA's caching allocator makes of a request: constants of c10/core/AllocatorConfig.h. */
import { MIB } from '../../units.js';
import { bucketOf, POOL_BITS } from './buckets.js';

/** Sizes of blocks are multiples of this. */
export const MIN_BLOCK = 512;
/** Up to here requests are small. */
export const SMALL_SIZE = MIB;
const SMALL_SEGMENT = 2 * MIB;
const MIN_LARGE = 10 * MIB;
const LARGE_SEGMENT = 20 * MIB;
/** Segments of their own are multiples of this. */
export const ROUND_LARGE = 2 * MIB;

/** Bytes that the allocator hands out for a request. */
export function roundSize(bytes: number): number {
  return bytes < MIN_BLOCK ? MIN_BLOCK : Math.ceil(bytes / MIN_BLOCK) * MIN_BLOCK;
}

/** Bytes of the segment that is made for a rounded request. */
export function segmentSize(size: number): number {
  if (size <= SMALL_SIZE) return SMALL_SEGMENT;
  return size < MIN_LARGE ? LARGE_SEGMENT : Math.ceil(size / ROUND_LARGE) * ROUND_LARGE;
}

/** Small and large requests are served from pools of their own, each with its buckets: the number of its first one. */
export function poolOf(size: number): number {
  return size <= SMALL_SIZE ? 1 << POOL_BITS : 0;
}

/** Where free blocks for a rounded request are looked for first. */
export function requestBucket(size: number): number {
  return poolOf(size) + bucketOf(size);
}
