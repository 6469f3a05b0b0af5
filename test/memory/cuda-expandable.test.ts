import { describe, expect, it } from 'vitest';
import { hasExpandableSegments } from '../../src/commands/input/target.js';
import { resolveTarget } from '../../src/machine/target.js';
import { ExpandableAllocator } from '../../src/memory/allocators/cuda-expandable.js';
import { Estimator } from '../../src/memory/estimate.js';
import { readModel } from '../../src/model/open.js';
import { createRandom } from '../../src/random.js';
import { DEFAULT_SETUP } from '../../src/setup.js';
import { MIB } from '../../src/units.js';

describe('the CUDA allocator with expandable segments', () => {
  it('maps pages of 20 MiB as large requests need them, of 2 MiB for small ones, and cuts to 512 bytes', () => {
    const allocator = new ExpandableAllocator();
    allocator.allocate(21 * MIB);
    expect(allocator.reserved).toBe(40 * MIB);
    // 19 MiB are left; 30 take them and 11 more, of one more page.
    allocator.allocate(30 * MIB);
    expect(allocator.reserved).toBe(60 * MIB);
    allocator.allocate(1000);
    expect(allocator.reserved).toBe(62 * MIB);
    expect(allocator.allocated).toBe(51 * MIB + 1024);
  });

  it('makes one block of all that is free: what was freed in pieces serves a request as large as all of them', () => {
    const allocator = new ExpandableAllocator();
    const pieces = Array.from({ length: 6 }, () => allocator.allocate(10 * MIB));
    for (const piece of [0, 2, 4, 1, 3, 5].map((i) => pieces[i])) allocator.free(piece!);
    allocator.allocate(60 * MIB);
    expect(allocator.reserved).toBe(60 * MIB);
  });

  it('keeps the block that can grow for what needs it', () => {
    const allocator = new ExpandableAllocator();
    const first = allocator.allocate(30 * MIB);
    allocator.allocate(5 * MIB);
    // 25 MiB are free at the end, and 30 at the beginning.
    allocator.free(allocator.allocate(25 * MIB)!);
    allocator.free(first!);
    allocator.allocate(20 * MIB);
    allocator.allocate(45 * MIB);
    expect(allocator.reserved).toBe(80 * MIB);
  });

  it('unmaps the pages of free blocks before it gives up', () => {
    const allocator = new ExpandableAllocator({ capacity: 100 * MIB });
    const first = allocator.allocate(40 * MIB);
    allocator.allocate(20 * MIB);
    allocator.free(first!);
    allocator.allocate(60 * MIB);
    expect(allocator).toMatchObject({ retries: 1, outOfMemory: false, reserved: 80 * MIB });
    // The 40 MiB at the beginning have addresses and no memory: one of their pages can be had again.
    allocator.allocate(20 * MIB);
    expect(allocator).toMatchObject({ retries: 1, outOfMemory: false, reserved: 100 * MIB });
    expect(allocator.allocate(20 * MIB, true)).toBeNull();
    expect(allocator.outOfMemory).toBe(false);
    allocator.allocate(20 * MIB);
    expect(allocator.outOfMemory).toBe(true);
  });

  it('never loses or invents a byte, and has no two neighbours of one state', () => {
    for (let seed = 0; seed < 20; seed++) {
      const random = createRandom(seed);
      const allocator = new ExpandableAllocator({ capacity: 800 * MIB });
      const live: NonNullable<ReturnType<typeof allocator.allocate>>[] = [];
      const pools = new Set<(typeof live)[number]['pool']>();
      for (let i = 0; i < 300; i++) {
        if (live.length > 0 && random() < 0.48) allocator.free(live.splice(Math.floor(random() * live.length), 1)[0]!);
        else live.push(allocator.allocate(2 ** (24 * random() + 2))!);
        for (const { pool } of live) pools.add(pool);
        let [used, mapped] = [0, 0];
        for (const { pieces } of pools) {
          pieces.forEach((piece, k) => {
            const next = pieces[k + 1];
            if (next) expect(piece.address + piece.size).toBe(next.address);
            if (piece.state !== 'used') expect(next?.state).not.toBe(piece.state);
            if (piece.state === 'used') used += piece.size;
            if (piece.state !== 'unmapped') mapped += piece.size;
          });
        }
        expect(used).toBe(allocator.allocated);
        expect(mapped).toBe(allocator.reserved);
        if (!allocator.outOfMemory) expect(allocator.reserved).toBeLessThanOrEqual(800 * MIB);
      }
    }
  });
});

it('an estimate asks for it where the environment does: what is reserved is hardly more than what is allocated', async () => {
  expect(hasExpandableSegments({ PYTORCH_ALLOC_CONF: 'max_split_size_mb:128,expandable_segments:True' })).toBe(true);
  expect(hasExpandableSegments({ PYTORCH_CUDA_ALLOC_CONF: 'expandable_segments:True' })).toBe(true);
  expect(hasExpandableSegments({ PYTORCH_ALLOC_CONF: 'expandable_segments:False' })).toBe(false);
  expect(hasExpandableSegments({})).toBe(false);
  const model = await readModel('gpt2', { seq: 512 });
  const target = await resolveTarget({ device: 'a100-40gb' });
  const [usual, expandable] = [false, true].map((expandableSegments) => {
    const { memory, maxBatch } = new Estimator(model, { ...DEFAULT_SETUP, batch: 8 }, { ...target, expandableSegments }).estimate(8);
    return { ...memory.peak, maxBatch };
  });
  expect(expandable!.tensorBytes).toBe(usual!.tensorBytes);
  expect(expandable!.reservedBytes).toBeLessThan(usual!.reservedBytes);
  expect(expandable!.reservedBytes - expandable!.allocatedBytes).toBeLessThan(64 * MIB);
  expect(expandable!.maxBatch.best).toBeGreaterThanOrEqual(usual!.maxBatch.best);
});
