import { describe, expect, it } from 'vitest';
import type { TargetDevice } from '../../src/machine/machine.js';
import { resolveTarget } from '../../src/machine/target.js';
import { Estimator, estimateMemory } from '../../src/memory/estimate.js';
import { readModel } from '../../src/model/open.js';
import { DEFAULT_SETUP, type Precision } from '../../src/setup.js';
import { GIB } from '../../src/units.js';

const card = (gib: number): TargetDevice => ({
  name: 'card',
  kind: 'cuda',
  count: 1,
  totalBytes: gib * GIB,
  usableBytes: gib * GIB,
  computeCapability: '8.6',
  multiprocessors: 82,
  profile: null,
  source: 'assumed',
});

describe('an estimate', async () => {
  const model = await readModel('resnet50');
  const setup = { ...DEFAULT_SETUP, batch: 32, optimizer: 'momentum' as const };

  it('adds up: what it is made of is what the device shows', () => {
    const { memory } = estimateMemory(model, setup, card(24));
    const sum = Object.values(memory.breakdown).reduce((a, b) => a + b, 0);
    expect(sum).toBe(memory.peak.deviceBytes.best);
    expect(memory.breakdown.parameters).toBeGreaterThan(25557032 * 4);
    expect(memory.breakdown.optimizerState).toBeGreaterThanOrEqual(25557032 * 4);
  });

  it('orders its counters: requested, allocated, reserved, device', () => {
    const { peak } = estimateMemory(model, setup, card(24)).memory;
    expect(peak.requestedBytes).toBeLessThanOrEqual(peak.allocatedBytes);
    expect(peak.allocatedBytes).toBeLessThanOrEqual(peak.reservedBytes);
    expect(peak.reservedBytes).toBeLessThan(peak.deviceBytes.best);
    expect(peak.deviceBytes.low).toBeLessThan(peak.deviceBytes.best);
    expect(peak.deviceBytes.best).toBeLessThan(peak.deviceBytes.high);
  });

  it('is linear in the batch: the line predicts another batch within 3 %', () => {
    const at32 = estimateMemory(model, setup, card(24)).memory;
    const at128 = estimateMemory(model, { ...setup, batch: 128 }, card(24)).memory;
    expect((at32.fixedBytes + 128 * at32.perSampleBytes) / at128.peak.deviceBytes.best).toBeCloseTo(1, 1.5);
  });

  it('gives the same at a batch whether traced there or interpolated', () => {
    const estimator = new Estimator(model, setup, card(24));
    estimator.memory(32);
    const interpolated = estimator.memory(48).peak;
    expect(interpolated).toEqual(new Estimator(model, setup, card(24)).memory(48).peak);
  });

  it('finds the largest batch: it fits and the next does not', () => {
    const estimator = new Estimator(model, setup, card(8));
    for (const figure of ['low', 'best', 'high'] as const) {
      const largest = estimator.largest(figure);
      expect(estimator.fits(largest, figure)).toBe(true);
      expect(estimator.fits(largest + 1, figure)).toBe(false);
    }
    const { maxBatch } = estimator.estimate(1);
    expect(maxBatch.low).toBeLessThanOrEqual(maxBatch.best);
    expect(maxBatch.best).toBeLessThanOrEqual(maxBatch.high);
  });

  it("counts what a softmax of PyTorch before 1.11 keeps: every layer's scores, and the logits, once more", async () => {
    const gpt2 = await readModel('gpt2', { seq: 256, attention: 'math' });
    const asked = { ...DEFAULT_SETUP, batch: 2, optimizer: 'sgd' as const, attention: 'math' as const };
    const at = (release: [number, number] | null): number =>
      new Estimator(gpt2, asked, card(24), undefined, { release }).memory(2).breakdown.activations;
    const scores = 12 * 12 * 2 * 256 * 256 * 4;
    const logits = 2 * 255 * 50257 * 4;
    const more = at([1, 10]) - at(null);
    expect(at([1, 11])).toBe(at(null));
    expect(more).toBeGreaterThanOrEqual(scores);
    expect(more).toBeLessThanOrEqual(scores + 1.01 * logits);
  });

  it('orders what surely, probably and possibly fits, also where fragments decide', () => {
    for (let gib = 3; gib < 30; gib += 3) {
      const { low, best, high } = new Estimator(model, { ...setup, checkpointing: 'none', zeroGrad: 'to-zero' }, card(gib)).maxBatch();
      expect(low).toBeLessThanOrEqual(best);
      expect(best).toBeLessThanOrEqual(high);
    }
  });

  it('says that nothing fits where one sample is too much', () => {
    const { fits, maxBatch } = estimateMemory(model, { ...setup, batch: 1 }, card(0.5));
    expect(fits).toBe(false);
    expect(maxBatch).toEqual({ low: 0, best: 0, high: 0 });
  });

  it('does not grow with accumulation beyond the second micro step, nor with where gradients are dropped beyond one set of them', () => {
    const base = estimateMemory(model, setup, card(24)).memory.peak.tensorBytes;
    const twice = estimateMemory(model, { ...setup, accumulation: 2 }, card(24)).memory.peak.tensorBytes;
    expect(estimateMemory(model, { ...setup, accumulation: 8 }, card(24)).memory.peak.tensorBytes).toBe(twice);
    expect(twice - base).toBeLessThanOrEqual(25557032 * 4 * 1.01 + 1e6);
  });

  it('refuses what it does not cover, and says what it does', () => {
    expect(() => estimateMemory(model, { ...setup, method: 'lora', loraTargets: ['nothing'] }, card(24))).toThrow(
      /no linear module named nothing/,
    );
    expect(() => estimateMemory(model, { ...setup, gpus: 2, tensorParallel: 2 }, card(24))).toThrow(/--tensor-parallel 2/);
  });
});

it('float16 with autocast has the five numbers of a GradScaler on top, where it runs: two that stay, one in backward, two in the optimizer', async () => {
  const model = await readModel('digits-mlp');
  const target = await resolveTarget({ device: 'a100-40gb' });
  const peak = (precision: Precision) =>
    new Estimator(model, { ...DEFAULT_SETUP, batch: 32, precision, optimizer: 'sgd' }, target).estimate(32).memory.peak;
  const [half, brain] = [peak('amp-fp16'), peak('amp-bf16')];
  expect(half.tensorBytes).toBe(brain.tensorBytes);
  expect([3, 4]).toContain((half.allocatedBytes - brain.allocatedBytes) / 512);
});
