/**
 * Numbers of buckets of sizes, 32 of equal width from each power of two to the next, of several pools. A word has a bit for
 * each of 32 buckets, and a summary of a pool a bit for each of its words. Shifts take the last five bits of their count
 * alone: `1 << bucket` is a bucket's bit in its word, `1 << word` a word's in its summary.
 */

export const POOLS = 2;
/** Of a bucket's number these bits are its place in a word, the next ones the word's in a pool, the rest the pool. */
export const BUCKET_BITS = 5;
export const WORD_BITS = 5;
export const POOL_BITS = BUCKET_BITS + WORD_BITS;
/** Sizes differ by multiples of this. */
const UNIT = 512;
const MOST_UNITS = 2 ** 31 - 1;

/** A size's bucket in a pool's own numbers; the last one takes all from 1 TiB on. */
export function bucketOf(size: number): number {
  const units = Math.min(size / UNIT, MOST_UNITS) | 0;
  const powers = 31 - BUCKET_BITS - Math.clz32(units);
  // The leading bit of what is left of the number leads on to the next power's buckets.
  return powers > 0 ? (powers << BUCKET_BITS) + (units >> powers) : units;
}

/** The number of the lowest bit that is set. */
export function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}
