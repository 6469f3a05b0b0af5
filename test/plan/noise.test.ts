import { describe, expect, it } from 'vitest';
import { criticalBatch, estimateNoiseScale, fromMicroBatches, type NormSample, separate, tradeoffTable } from '../../src/plan/noise.js';
import { createRandom } from '../../src/random.js';

interface Simulation {
  squaredNorm?: number;
  trace?: number;
  smallBatch?: number;
  bigBatch?: number;
  /** The squared norm of every micro batch of a step, not of one only. */
  all?: boolean;
}

/** Gradients g = G + noise with |G|^2 and tr(Sigma) known, in 20 dimensions: squared norms over small and over big batches. */
function simulate(
  seed: number,
  steps: number,
  { squaredNorm = 1, trace = 20, smallBatch = 8, bigBatch = 64, all = false }: Simulation = {},
): NormSample[] {
  const dimension = 20;
  const random = createRandom(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const gradient = Math.sqrt(squaredNorm / dimension);
  const mean = (batch: number) => Array.from({ length: dimension }, () => gradient + normal() * Math.sqrt(trace / dimension / batch));
  const sqNorm = (values: number[]) => values.reduce((sum, value) => sum + value ** 2, 0);
  const count = bigBatch / smallBatch;
  return Array.from({ length: steps }, () => {
    // One small batch and the mean of the others are enough unless every one is looked at.
    const parts = all ? Array.from({ length: count }, () => mean(smallBatch)) : [mean(smallBatch), mean(bigBatch - smallBatch)];
    const weights = all ? parts.map(() => 1 / count) : [1 / count, 1 - 1 / count];
    const whole = parts[0]!.map((_, index) => parts.reduce((sum, part, at) => sum + part[index]! * weights[at]!, 0));
    return all ? fromMicroBatches(parts.map(sqNorm), sqNorm(whole)) : { small: sqNorm(parts[0]!), big: sqNorm(whole) };
  });
}

describe('the two-batch estimator', () => {
  it('golden: gns two-batch, Bs=32 Bb=256 |Gs|^2=5 |Gb|^2=1.5', () => {
    const { squaredNorm, trace } = separate({ small: 5, big: 1.5 }, 32, 256);
    expect(squaredNorm).toBeCloseTo(1, 12);
    expect(trace).toBeCloseTo(128, 12);
    const estimate = estimateNoiseScale({
      samples: Array.from({ length: 8 }, () => ({ small: 5, big: 1.5 })),
      smallBatch: 32,
      bigBatch: 256,
    });
    expect(estimate.noiseScale!.value).toBeCloseTo(128, 9);
  });
  it('is the form for K micro batches: (K |mean|^2 - mean of |g|^2) / (K - 1)', () => {
    const sample = fromMicroBatches([3, 5, 4, 8], 2);
    expect(separate(sample, 16, 64).squaredNorm).toBeCloseTo((4 * 2 - 5) / 3, 12);
    expect(separate(sample, 16, 64).trace / 16).toBeCloseTo(((5 - 2) * 4) / 3, 12);
  });
  it('is unbiased in numerator and denominator, where the mean ratio of single steps is not', { timeout: 60_000 }, () => {
    const samples = simulate(7, 8000);
    const estimate = estimateNoiseScale({ samples, smallBatch: 8, bigBatch: 64 });
    expect(Math.abs(estimate.gradientSqNorm - 1)).toBeLessThan(0.03);
    expect(Math.abs(estimate.trace - 20)).toBeLessThan(0.4);
    const ratios = samples.map((sample) => separate(sample, 8, 64)).map(({ squaredNorm, trace }) => trace / squaredNorm);
    expect(Math.abs(ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length - 20)).toBeGreaterThan(3);
    expect(ratios.some((ratio) => ratio < 0)).toBe(true);
  });
  it.each([
    ['one small batch a step', 100, false],
    ['all micro batches of a step', 25, true],
  ])(
    'its interval covers the truth in 90 to 99 %% of 500 runs: %s',
    (_, steps, all) => {
      let covered = 0;
      for (let run = 0; run < 500; run++) {
        const { noiseScale } = estimateNoiseScale({
          samples: simulate(1000 + run, steps, { all }),
          smallBatch: 8,
          bigBatch: 64,
          seed: run,
        });
        if (noiseScale !== null && noiseScale.low <= 20 && noiseScale.high >= 20) covered += 1;
      }
      expect(covered / 500).toBeGreaterThanOrEqual(0.9);
      expect(covered / 500).toBeLessThanOrEqual(0.99);
    },
    300_000,
  );
  it('says "not enough samples" instead of a negative number', () => {
    for (const samples of [
      [],
      simulate(3, 4),
      simulate(3, 12, { squaredNorm: 0.01 }),
      Array.from({ length: 50 }, () => ({ small: 1, big: 0.1 })),
    ]) {
      const estimate = estimateNoiseScale({ samples, smallBatch: 8, bigBatch: 64 });
      expect(estimate).toMatchObject({ noiseScale: null, enough: false });
    }
  });
  it('skips steps with an infinite norm, and tells a scale that grows during training', () => {
    const early = simulate(5, 300);
    const late = simulate(6, 300, { squaredNorm: 0.25 });
    const estimate = estimateNoiseScale({
      samples: [{ small: Number.POSITIVE_INFINITY, big: 1 }, ...early, ...late],
      smallBatch: 8,
      bigBatch: 64,
    });
    expect(estimate.samples).toBe(600);
    expect(estimate.drift!).toBeGreaterThan(2);
  });
  it('gives the same interval for the same data', () => {
    const request = { samples: simulate(9, 100), smallBatch: 8, bigBatch: 64 };
    expect(estimateNoiseScale(request)).toEqual(estimateNoiseScale(request));
  });
});

describe('what follows from a noise scale', () => {
  it('the critical batch keeps an order of magnitude', () => {
    const critical = criticalBatch({ value: 900, low: 800, high: 1000 });
    expect(critical.best).toBe(900);
    expect(critical.high / critical.low).toBeCloseTo(12.5, 9);
    // Table 3.3: measured critical batches of the classifiers lie within the stated spread of their noise scale.
    for (const [measured, scale] of [
      [200, 900],
      [900, 2000],
      [15_000, 30_000],
      [100_000, 150_000],
      [400, 1000],
    ] as const) {
      const { low, high } = criticalBatch({ value: scale, low: scale / Math.sqrt(3), high: scale * Math.sqrt(3) });
      expect(measured).toBeGreaterThanOrEqual(low);
      expect(measured).toBeLessThanOrEqual(high);
    }
  });
  it('the trade-off table obeys (S/Smin - 1)(E/Emin - 1) = 1 around the noise scale', () => {
    const rows = tradeoffTable(1024);
    expect(rows.map(({ batch }) => batch)).toEqual([64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384]);
    for (const { relativeSteps, relativeSamples } of rows) expect((relativeSteps - 1) * (relativeSamples - 1)).toBeCloseTo(1, 9);
    expect(rows[4]).toEqual({ batch: 1024, relativeSteps: 2, relativeSamples: 2 });
    expect(tradeoffTable(2)[0]!.batch).toBe(1);
  });
});
