import { describe, expect, it } from 'vitest';
import { classifyRegime, divisorsOf, splitBatch } from '../../src/plan/batch.js';
import { countSteps, type EpochEnd } from '../../src/plan/schedule.js';

const steps = (datasetSize: number, micro: number, options: Partial<Parameters<typeof countSteps>[0]> = {}) =>
  countSteps({ datasetSize, micro, accumulation: 1, replicas: 1, dropLast: false, epochEnd: 'flush', epochs: null, ...options });

describe('S11: 1000 samples', () => {
  it.each([
    [10, 100],
    [100, 10],
    [1000, 1],
  ])('at batch %i take %i steps an epoch', (batch, count) => {
    expect(steps(1000, batch).stepsPerEpoch).toBe(count);
  });
});

describe('S12: a smaller batch makes more updates an epoch', () => {
  it('never fewer, and twice as many at half the batch where both divide the data set', () => {
    const counts = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024].map((batch) => steps(1024, batch).stepsPerEpoch);
    expect(counts).toEqual([1024, 512, 256, 128, 64, 32, 16, 8, 4, 2, 1]);
    for (let batch = 1; batch < 1000; batch++)
      expect(steps(1000, batch).stepsPerEpoch).toBeGreaterThanOrEqual(steps(1000, batch + 1).stepsPerEpoch);
  });
});

describe('splitBatch', () => {
  it('takes the largest micro batch that divides the target', () => {
    expect(splitBatch({ target: 1024, replicas: 1, maxMicro: 200 })).toEqual({
      micro: 128,
      accumulation: 8,
      replicas: 1,
      effective: 1024,
      residue: 0,
    });
    expect(splitBatch({ target: 1000, replicas: 2, maxMicro: 96 })).toMatchObject({ micro: 50, accumulation: 10, residue: 0 });
    expect(splitBatch({ target: 64, replicas: 1, maxMicro: 4096 })).toMatchObject({ micro: 64, accumulation: 1 });
  });
  it('names the residue of a prime target rather than run one sample a pass', () => {
    expect(splitBatch({ target: 1021, replicas: 1, maxMicro: 128 })).toEqual({
      micro: 128,
      accumulation: 8,
      replicas: 1,
      effective: 1024,
      residue: 3,
    });
  });
  it('names the residue when the replicas do not divide the target', () => {
    expect(splitBatch({ target: 1000, replicas: 3, maxMicro: 500 })).toMatchObject({
      micro: 333,
      accumulation: 1,
      effective: 999,
      residue: -1,
    });
    expect(splitBatch({ target: 4, replicas: 8, maxMicro: 500 })).toMatchObject({ micro: 1, accumulation: 1, effective: 8, residue: 4 });
  });
  it('prefers the faster of the divisors where rates are known, and the larger one when they tie', () => {
    const rates = new Map([
      [512, 900],
      [256, 1000],
      [128, 990],
      [64, 500],
    ]);
    const request = { target: 512, replicas: 1, maxMicro: 600 };
    expect(splitBatch({ ...request, maxMicro: 256, rate: (micro) => rates.get(micro) ?? 100 }).micro).toBe(256);
    expect(splitBatch({ ...request, rate: (micro) => rates.get(micro) ?? 100 }).micro).toBe(256);
  });
  it('always gives micro * accumulation * replicas = effective = target + residue, with micro within the limit', () => {
    for (const target of [1, 2, 7, 30, 97, 256, 1000, 1018, 4099, 65536]) {
      for (const replicas of [1, 2, 3, 8]) {
        for (const maxMicro of [1, 5, 33, 128, 100_000]) {
          const split = splitBatch({ target, replicas, maxMicro });
          expect(split.micro * split.accumulation * replicas).toBe(split.effective);
          expect(split.effective - target).toBe(split.residue);
          expect(split.micro).toBeLessThanOrEqual(maxMicro);
          expect(Number.isInteger(split.micro) && split.micro >= 1 && Number.isInteger(split.accumulation) && split.accumulation >= 1).toBe(
            true,
          );
          expect(Math.abs(split.residue)).toBeLessThanOrEqual(Math.max(replicas, split.accumulation * replicas) / 2 + replicas);
        }
      }
    }
  });
  it('lists divisors in order', () => expect(divisorsOf(36)).toEqual([1, 2, 3, 4, 6, 9, 12, 18, 36]));
});

describe('classifyRegime', () => {
  it.each([
    [1, 1000, 'stochastic'],
    [2, 1000, 'mini-batch'],
    [999, 1000, 'mini-batch'],
    [1000, 1000, 'full-batch'],
    [2000, 1000, 'full-batch'],
    [1, null, 'stochastic'],
    [64, null, 'mini-batch'],
  ])('batch %i of %s samples is %s', (batch, size, regime) => expect(classifyRegime(batch as number, size as number | null)).toBe(regime));
});

describe('countSteps', () => {
  it('is ceil(ceil(N / (b R)) / a) when an epoch ends with an update', () => {
    const count = steps(1_281_167, 128, { accumulation: 4, replicas: 2, epochs: 90 });
    expect(count.microBatchesPerEpoch).toBe(Math.ceil(1_281_167 / 256));
    expect(count.stepsPerEpoch).toBe(Math.ceil(Math.ceil(1_281_167 / 256) / 4));
    expect(count.totalSteps).toBe(count.stepsPerEpoch * 90);
  });
  it('drops the last micro batch under dropLast', () => {
    expect(steps(1000, 300)).toMatchObject({ microBatchesPerEpoch: 4, lastMicroBatch: 100, unusedSamples: 0 });
    expect(steps(1000, 300, { dropLast: true })).toMatchObject({ microBatchesPerEpoch: 3, lastMicroBatch: 300, unusedSamples: 100 });
    expect(steps(10, 300, { dropLast: true })).toMatchObject({ stepsPerEpoch: 0, unusedSamples: 10 });
  });
  it.each([
    ['flush', 4, 12, 100],
    ['carry', 3, 10, 300],
    ['drop', 3, 9, 300],
  ] as [EpochEnd, number, number, number][])('%s: 1000 samples, micro 100, accumulation 3', (epochEnd, perEpoch, total, last) => {
    expect(steps(1000, 100, { accumulation: 3, epochEnd, epochs: 3 })).toMatchObject({
      stepsPerEpoch: perEpoch,
      totalSteps: total,
      lastStepSamples: last,
    });
  });
  // Counted by running the loop of each convention sample by sample.
  it('agrees with a loop that really steps', () => {
    for (const datasetSize of [1, 17, 64, 100, 1001]) {
      for (const [micro, replicas, accumulation] of [
        [1, 1, 1],
        [4, 1, 3],
        [8, 2, 4],
        [16, 3, 5],
      ] as const) {
        for (const dropLast of [false, true]) {
          for (const epochEnd of ['flush', 'carry', 'drop'] as const) {
            let updates = 0;
            let pending = 0;
            for (let epoch = 0; epoch < 3; epoch++) {
              if (epochEnd !== 'carry') pending = 0;
              for (let seen = 0; seen < datasetSize; seen += micro * replicas) {
                if (dropLast && datasetSize - seen < micro * replicas) break;
                pending += 1;
                if (pending === accumulation) {
                  updates += 1;
                  pending = 0;
                }
              }
              if (epochEnd === 'flush' && pending > 0) updates += 1;
            }
            expect(countSteps({ datasetSize, micro, replicas, accumulation, dropLast, epochEnd, epochs: 3 }).totalSteps).toBe(updates);
          }
        }
      }
    }
  });
});
