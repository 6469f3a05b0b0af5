import { describe, expect, it } from 'vitest';
import { answer, readTruth } from './truth.js';

const quantile = (values: number[], q: number): number => [...values].sort((a, b) => a - b)[Math.floor(q * (values.length - 1))] as number;

describe('op-level truth: what PyTorch itself allocates', () => {
  it('is met row by row, by physics alone', { timeout: 600_000 }, async () => {
    const rows = readTruth();
    const tensor: number[] = [];
    const reserved: number[] = [];
    let samePhase = 0;
    for (const row of rows) {
      const got = await answer(row);
      expect(got.parameters, row.setup.model).toBe(row.truth.parameters);
      tensor.push(Math.abs(got.tensorBytes / row.truth.peakAllocatedBytes - 1));
      reserved.push(Math.abs(got.tensorReservedBytes / row.truth.peakReservedBytes - 1));
      if (got.peakAt === row.truth.peakAt) samePhase++;
    }
    expect(rows.length).toBe(292);
    expect(quantile(tensor, 0.5)).toBeLessThanOrEqual(0.001);
    expect(quantile(tensor, 0.95)).toBeLessThanOrEqual(0.01);
    expect(quantile(reserved, 0.5)).toBeLessThanOrEqual(0.015);
    expect(quantile(reserved, 0.95)).toBeLessThanOrEqual(0.05);
    expect(samePhase / rows.length).toBeGreaterThanOrEqual(0.97);
  });
});
