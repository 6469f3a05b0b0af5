import { describe, expect, it } from 'vitest';
import { MallocAllocator, roundMalloc } from '../../src/memory/allocators/malloc.js';
import { BfcAllocator, binOf, roundBfc } from '../../src/memory/allocators/tensorflow-bfc.js';
import { KIB, MIB } from '../../src/units.js';

describe("TensorFlow's allocator", () => {
  it('rounds to 256 B and sorts chunks into bins by powers of two', () => {
    expect([1, 256, 257].map(roundBfc)).toEqual([256, 256, 512]);
    expect([256, 511, 512, 1023, 1024, 256 * 2 ** 20, 2 ** 40].map(binOf)).toEqual([0, 0, 1, 1, 2, 20, 20]);
  });

  it('grows by regions that double, and jumps to what a request needs', () => {
    const allocator = new BfcAllocator();
    allocator.allocate(MIB);
    expect(allocator.reserved).toBe(2 * MIB);
    allocator.allocate(2 * MIB);
    expect(allocator.reserved).toBe(6 * MIB);
    allocator.allocate(100 * MIB);
    // 8 MiB was to be next; doubled until the request fits.
    expect(allocator.reserved).toBe(134 * MIB);
    allocator.allocate(100 * MIB);
    expect(allocator.reserved).toBe(262 * MIB);
  });

  it('splits a chunk that is twice the request, and only such a one', () => {
    const allocator = new BfcAllocator();
    const whole = allocator.allocate(1.5 * MIB);
    expect(whole.size).toBe(2 * MIB);
    allocator.free(whole);
    expect(allocator.allocate(MIB).size).toBe(MIB);
    expect(allocator.allocated).toBe(MIB);
  });

  it('splits off more than 128 MiB even of a chunk that is not twice the request', () => {
    const allocator = new BfcAllocator();
    const first = allocator.allocate(500 * MIB);
    expect(first.size).toBe(512 * MIB);
    allocator.free(first);
    expect(allocator.allocate(350 * MIB).size).toBe(350 * MIB);
  });

  it('merges free neighbours of one region', () => {
    const allocator = new BfcAllocator();
    const chunks = Array.from({ length: 4 }, () => allocator.allocate(512 * KIB));
    expect(allocator.reserved).toBe(2 * MIB);
    for (const i of [0, 2, 1, 3]) allocator.free(chunks[i] as (typeof chunks)[number]);
    expect(allocator.allocated).toBe(0);
    expect(allocator.allocate(2 * MIB).size).toBe(2 * MIB);
    expect(allocator.reserved).toBe(2 * MIB);
  });

  it('takes the smallest free chunk that is large enough', () => {
    const allocator = new BfcAllocator();
    const [large, , small, end] = [700, 1, 300, 1].map((kib) => allocator.allocate(kib * KIB));
    if (!large || !small || !end) throw new Error('no chunks');
    allocator.free(large);
    allocator.free(small);
    expect(allocator.allocate(290 * KIB).address).toBe(small.address);
  });

  it('says when the capacity is used up', () => {
    const allocator = new BfcAllocator({ capacity: 10 * MIB });
    allocator.allocate(6 * MIB);
    expect(allocator.outOfMemory).toBe(false);
    allocator.allocate(6 * MIB);
    expect(allocator.outOfMemory).toBe(true);
  });

  it('takes the whole card at once where it is not told to grow', () => {
    const allocator = new BfcAllocator({ capacity: 64 * MIB, whole: true });
    allocator.allocate(1);
    expect(allocator.reserved).toBe(64 * MIB);
  });
});

describe('plain malloc', () => {
  it('maps large tensors page by page and gives them back', () => {
    expect(roundMalloc(MIB)).toBe(MIB + 4 * KIB);
    const allocator = new MallocAllocator();
    allocator.free(allocator.allocate(MIB));
    allocator.allocate(MIB);
    expect(allocator.peakReserved).toBe(MIB + 4 * KIB);
  });

  it('keeps a heap of small blocks', () => {
    const allocator = new MallocAllocator();
    const size = allocator.allocate(1000);
    allocator.free(size);
    expect(size).toBe(1024);
    allocator.allocate(MIB);
    expect(allocator.peakReserved).toBe(1024 + MIB + 4 * KIB);
  });
});
