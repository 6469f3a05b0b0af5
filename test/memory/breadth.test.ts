import { describe, expect, it } from 'vitest';
import { answer, readTruth } from './truth.js';

/** Each row traced as those of op-truth.json, with adapters, frozen weights, other optimizers and other operators. */
describe('op-level truth beyond plain training', () => {
  it.each(readTruth('op-truth-more.json').map((row) => [JSON.stringify({ ...row.setup, config: undefined }), row] as const))(
    'is met: %s',
    { timeout: 60_000 },
    async (_, row) => {
      const got = await answer(row);
      expect(got.parameters).toBe(row.truth.parameters);
      expect(Math.abs(got.tensorBytes / row.truth.peakAllocatedBytes - 1)).toBeLessThan(0.005);
      expect(Math.abs(got.tensorReservedBytes / row.truth.peakReservedBytes - 1)).toBeLessThan(0.05);
      expect(got.peakAt).toBe(row.truth.peakAt);
    },
  );
});
