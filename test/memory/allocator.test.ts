import { describe, expect, it } from 'vitest';
import { CachingAllocator, roundSize } from '../../src/memory/allocators/cuda-caching.js';
import { GIB, MIB } from '../../src/units.js';

describe('the CUDA caching allocator', () => {
  it('rounds requests to 512 bytes', () => {
    expect([1, 512, 513, 1024, 1025].map(roundSize)).toEqual([512, 512, 1024, 1024, 1536]);
  });

  it('cuts small requests from 2 MiB segments, middling ones from 20 MiB, large ones from their own rounded to 2 MiB', () => {
    const reservedBy = (bytes: number): number => {
      const allocator = new CachingAllocator();
      allocator.allocate(bytes);
      return allocator.reserved;
    };
    expect(reservedBy(4)).toBe(2 * MIB);
    expect(reservedBy(MIB)).toBe(2 * MIB);
    expect(reservedBy(MIB + 1)).toBe(20 * MIB);
    expect(reservedBy(10 * MIB - 512)).toBe(20 * MIB);
    expect(reservedBy(10 * MIB)).toBe(10 * MIB);
    expect(reservedBy(11 * MIB)).toBe(12 * MIB);
  });

  it('reuses the best fitting free block and merges neighbours', () => {
    const allocator = new CachingAllocator();
    const [a, b, c] = [6, 6, 6].map((n) => allocator.allocate(n * MIB));
    expect(allocator.reserved).toBe(20 * MIB);
    allocator.free(a!);
    allocator.free(b!);
    // 6 + 6 MiB are one block again: 9 MiB fit without another segment.
    allocator.allocate(9 * MIB);
    expect(allocator.reserved).toBe(20 * MIB);
    allocator.free(c!);
    expect(allocator.allocated).toBe(9 * MIB);
  });

  it('does not split a large block whose rest would be 1 MiB or less', () => {
    const allocator = new CachingAllocator();
    allocator.free(allocator.allocate(12 * MIB));
    allocator.allocate(11 * MIB);
    expect(allocator.allocated).toBe(12 * MIB);
  });

  it('frees cached segments and tries again before it gives up', () => {
    const allocator = new CachingAllocator({ capacity: GIB });
    allocator.free(allocator.allocate(600 * MIB));
    allocator.allocate(700 * MIB);
    expect(allocator.retries).toBe(1);
    expect(allocator.outOfMemory).toBe(false);
    allocator.allocate(400 * MIB);
    expect(allocator.outOfMemory).toBe(true);
  });

  it('grows segments in 20 MiB pages when they are expandable', () => {
    const allocator = new CachingAllocator({ expandableSegments: true });
    allocator.allocate(21 * MIB);
    expect(allocator.reserved).toBe(40 * MIB);
  });
});
