import { describe, expect, it } from 'vitest';
import { calibrate, findKnee } from '../../src/probe/calibration.js';

describe('calibrate', () => {
  it('finds the line, and one odd trial does not tilt it', () => {
    const points = [8, 16, 32, 64, 128].map((batch) => ({ batch, peakBytes: 1_000_000 + 5_000 * batch }));
    expect(calibrate(points)).toEqual({ fixedBytes: 1_000_000, perSampleBytes: 5_000, residual: 0 });
    const odd = [...points, { batch: 96, peakBytes: 9_000_000 }];
    expect(calibrate(odd)!.perSampleBytes).toBeCloseTo(5_000, -3);
  });

  it('says nothing from one batch', () => {
    expect(calibrate([{ batch: 8, peakBytes: 1 }])).toBeNull();
    expect(calibrate([])).toBeNull();
  });
});

describe('findKnee', () => {
  it('is the smallest batch at 95 % of the best rate', () => {
    const rates = { 1: 10, 2: 19, 4: 36, 8: 60, 16: 96, 32: 100, 64: 99 };
    const points = Object.entries(rates).map(([batch, samplesPerSecond]) => ({ batch: Number(batch), samplesPerSecond }));
    expect(findKnee(points)).toBe(16);
    expect(findKnee([])).toBeNull();
  });
});
