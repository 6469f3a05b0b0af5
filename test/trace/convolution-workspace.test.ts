import { beforeAll, describe, expect, it } from 'vitest';
import { CachingAllocator, NO_BLOCK } from '../../src/memory/allocators/cuda-caching.js';
import { traceStep } from '../../src/memory/step.js';
import type { ModelGraph } from '../../src/model/graph.js';
import { readModel } from '../../src/model/open.js';
import { DEFAULT_SETUP, type Setup } from '../../src/setup.js';
import { MIB } from '../../src/units.js';

let model: ModelGraph;

beforeAll(async () => {
  model = await readModel('resnet18');
});

/** Workspaces of one micro step in order. */
function workspaces(capability: number, setup: Partial<Setup> = {}, outOfPlaceSums = false): number[] {
  const trace = traceStep(model, { ...DEFAULT_SETUP, batch: 2, ...setup }, { capability, outOfPlaceSums, accumulating: false });
  return trace.bytes.filter((_, id) => trace.categories[id] === 'workspaces');
}

describe('a convolution on tensor cores', () => {
  it('transposes input, weight and output, forward and backward', () => {
    const found = workspaces(80);
    // 3 x 224 x 224 to 64 x 112 x 112 by 7 x 7, two images in float32.
    expect(found[0]).toBe(4 * (2 * 3 * 224 * 224 + 64 * 3 * 7 * 7 + 2 * 64 * 112 * 112));
    expect(found).toHaveLength(2 * model.nodes.filter(({ op }) => op.startsWith('aten.conv')).length);
    expect(workspaces(86, { precision: 'amp-fp16' })[0]).toBe((found[0] as number) / 2);
  });

  it('is not one where float32 units are as fast, where data lie channels last, or before they were built', () => {
    expect(workspaces(86)).toEqual([]);
    expect(workspaces(80, { channelsLast: true })).toEqual([]);
    expect(workspaces(61, { precision: 'amp-fp16' })).toEqual([]);
  });

  it("is unseen by PyTorch's own trace", () => {
    expect(workspaces(80, {}, true)).toEqual([]);
  });

  it('does without where there is no room', () => {
    const allocator = new CachingAllocator({ capacity: 100 * MIB });
    allocator.allocate(80 * MIB);
    expect(allocator.allocate(40 * MIB, true)).toBe(NO_BLOCK);
    expect(allocator.outOfMemory).toBe(false);
    expect(allocator.allocate(10 * MIB, true)).not.toBe(NO_BLOCK);
  });
});
