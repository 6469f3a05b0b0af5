import { describe, expect, it } from 'vitest';
import { resolveTarget } from '../../src/machine/target.js';
import { Estimator } from '../../src/memory/estimate.js';
import { WorkspaceSpread } from '../../src/memory/library/workspace.js';
import { traceStep } from '../../src/memory/step.js';
import { readModel } from '../../src/model/open.js';
import { DEFAULT_SETUP, type Setup } from '../../src/setup.js';
import { winogradBytes } from '../../src/trace/index.js';

const FP32: Setup = { ...DEFAULT_SETUP, precision: 'fp32' };

async function spreadOf(name: string, capability: number, setup = FP32, traced = 2): Promise<WorkspaceSpread> {
  const trace = traceStep(await readModel(name), { ...setup, batch: traced }, { capability, outOfPlaceSums: false, accumulating: false });
  return new WorkspaceSpread(trace, setup, traced);
}

describe("what cuDNN's largest workspace may take beyond the traced one", () => {
  // Images of 64 x 56 x 56 to the same: 14 x 14 tiles each.
  const transformed = (batch: number): number => winogradBytes(14 * 14 * batch, 64, 64);

  it("is Winograd's of a 3x3 convolution, at any batch", async () => {
    const spread = await spreadOf('resnet18', 86);
    expect(spread.at(32)).toBeCloseTo(transformed(32), 3);
    expect((await spreadOf('resnet18', 86, FP32, 4)).at(32)).toBeCloseTo(transformed(32), 3);
  });

  it('is less where tensors are copied for tensor cores anyway', async () => {
    const copies = 4 * (2 * 64 * 56 * 56 * 32 + 64 * 64 * 9);
    expect((await spreadOf('resnet18', 80)).at(32)).toBeCloseTo(transformed(32) - copies, 3);
  });

  it('is nothing in low precision, channels last, and without such a convolution', async () => {
    expect((await spreadOf('resnet18', 86, { ...FP32, precision: 'amp-fp16' })).at(32)).toBe(0);
    expect((await spreadOf('resnet18', 86, { ...FP32, channelsLast: true })).at(32)).toBe(0);
    expect((await spreadOf('vit_base_patch16_224', 86)).at(32)).toBe(0);
  });

  it('raises `high` as far as there is room, and keeps no batch from fitting', async () => {
    const target = await resolveTarget({ device: 'rtx-3060' });
    const model = await readModel('resnet18');
    const [heuristics, bySpeed] = [{}, { cudnnBenchmark: true }].map((stack) => new Estimator(model, FP32, target, undefined, stack)) as [
      Estimator,
      Estimator,
    ];
    const { reservedBytes, deviceBytes } = heuristics.memory(64).peak;
    const context = deviceBytes.best - reservedBytes;
    expect(deviceBytes.high).toBeGreaterThan(reservedBytes * 1.06 + context + transformed(64));
    const surely = heuristics.largest('high');
    expect(heuristics.memory(Math.floor(0.7 * surely)).peak.deviceBytes.high).toBe(target.usableBytes);
    expect(surely).toBe(new Estimator(model, { ...FP32, channelsLast: true }, target).largest('high'));
    // Where cuDNN picks by speed, the workspace is in the figure itself.
    expect(bySpeed.memory(64).peak.reservedBytes).toBeGreaterThan(reservedBytes);
  });
});
