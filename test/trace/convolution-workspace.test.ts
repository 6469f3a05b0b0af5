import { beforeAll, describe, expect, it } from 'vitest';
import { CachingAllocator, NO_BLOCK } from '../../src/memory/allocators/cuda-caching.js';
import { withCudnnBenchmark } from '../../src/memory/cudnn-benchmark.js';
import { traceStep } from '../../src/memory/step.js';
import type { ModelGraph } from '../../src/model/graph.js';
import { readModel } from '../../src/model/open.js';
import { DEFAULT_SETUP, type Setup } from '../../src/setup.js';
import { winogradBytes } from '../../src/trace/index.js';
import { MIB } from '../../src/units.js';

let model: ModelGraph;

beforeAll(async () => {
  model = await readModel('resnet18');
});

/** Workspaces of one micro step in order. */
function workspaces(capability: number, setup: Partial<Setup> = {}, outOfPlaceSums = false, graph = model): number[] {
  const trace = traceStep(graph, { ...DEFAULT_SETUP, batch: 2, ...setup }, { capability, outOfPlaceSums, accumulating: false });
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

describe("Winograd's algorithm", () => {
  it('takes what cuDNN says it takes', () => {
    // Width, height, channels in, batch, channels out, bytes: FWD_WINOGRAD_NONFUSED WORKSPACE of Slimakanzer/cudnn-benchmark.
    const said = [
      [1, 1, 256, 32, 324, 14616576],
      [3, 3, 256, 32, 324, 14616576],
      [1, 1, 256, 32, 16, 1843200],
    ] as const;
    for (const [width, height, channelsIn, batch, channelsOut, bytes] of said) {
      const tiles = batch * Math.ceil(width / 4) * Math.ceil(height / 4);
      expect(winogradBytes(tiles, channelsIn, channelsOut)).toBe(bytes);
    }
  });

  it('computes the gradients of 3x3 weights where cuDNN picks by speed', () => {
    const measured = withCudnnBenchmark(model);
    const [tensorCores, without] = [workspaces(80, {}, false, measured), workspaces(86, {}, false, measured)];
    const usual = workspaces(80);
    // Two images of 64 x 56 x 56 to the same, 14 x 14 tiles each.
    const first = winogradBytes(2 * 14 * 14, 64, 64);
    const convolutions = usual.length / 2;
    expect(tensorCores.slice(0, convolutions)).toEqual(usual.slice(0, convolutions));
    expect(tensorCores.slice(convolutions).filter((bytes) => bytes === first)).toHaveLength(4);
    // Thirteen of eighteen-layer ResNet's convolutions are 3x3 and go one step at a time.
    expect(without).toHaveLength(13);
    expect(without.filter((bytes) => bytes === first)).toHaveLength(4);
  });

  it('is not there in low precision, where data lie channels last, off CUDA, and for weights that are not trained', () => {
    const measured = withCudnnBenchmark(model);
    expect(workspaces(86, { precision: 'amp-fp16' }, false, measured)).toEqual(workspaces(86, { precision: 'amp-fp16' }));
    expect(workspaces(86, { channelsLast: true }, false, measured)).toEqual([]);
    expect(workspaces(0, {}, false, measured)).toEqual([]);
    const frozen = { ...measured, parameters: measured.parameters.map((p) => (p.shape.length === 4 ? { ...p, trainable: false } : p)) };
    expect(workspaces(86, {}, false, frozen)).toEqual([]);
  });
});
