import { describe, expect, it } from 'vitest';
import { answer, readTruth } from './truth.js';

/** Steps in which one mechanism decides the peak, traced as the op-level truth is (torch 2.15, transformers 5.23, timm 1.0.31). */
describe('a mechanism that decides the peak', () => {
  it.each(readTruth('op-mechanisms.json').map((row) => [row.mechanism as string, row] as const))('%s', async (_, row) => {
    const got = await answer(row);
    expect(got.parameters).toBe(row.truth.parameters);
    expect(Math.abs(got.tensorBytes - row.truth.peakAllocatedBytes)).toBeLessThan(8192);
    expect(Math.abs(got.tensorReservedBytes / row.truth.peakReservedBytes - 1)).toBeLessThan(0.02);
    expect(got.peakAt).toBe(row.truth.peakAt);
  });
});
