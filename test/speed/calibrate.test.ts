import { expect, it } from 'vitest';
import { calibrate } from '../../src/speed/calibrate.js';

const predicted = (batch: number): number => 0.01 + 0.001 * batch;

it('one point stretches the prediction', () => {
  const { fixedSeconds, factor, seconds } = calibrate([{ batch: 10, stepSeconds: 0.04 }], predicted);
  expect(fixedSeconds).toBe(0);
  expect(factor).toBeCloseTo(2);
  expect(seconds(20)).toBeCloseTo(0.06);
});

it('goes through points that are a stretched prediction plus a fixed time', () => {
  const points = [1, 8, 64].map((batch) => ({ batch, stepSeconds: 0.005 + 3 * predicted(batch) }));
  const { fixedSeconds, factor } = calibrate(points, predicted);
  expect(fixedSeconds).toBeCloseTo(0.005);
  expect(factor).toBeCloseTo(3);
});

it('has no fixed time below zero', () => {
  const points = [1, 64].map((batch) => ({ batch, stepSeconds: 3 * predicted(batch) - 0.02 }));
  const { fixedSeconds, factor } = calibrate(points, predicted);
  expect(fixedSeconds).toBe(0);
  expect(factor).toBeGreaterThan(1);
});

it('has no step that gets shorter with the batch', () => {
  const { fixedSeconds, factor } = calibrate(
    [
      { batch: 1, stepSeconds: 0.05 },
      { batch: 64, stepSeconds: 0.04 },
    ],
    predicted,
  );
  expect(factor).toBe(0);
  expect(fixedSeconds).toBeGreaterThan(0.04);
  expect(fixedSeconds).toBeLessThan(0.05);
});

it('leaves the prediction as it is without a point', () => {
  expect(calibrate([], predicted).seconds(8)).toBe(predicted(8));
  expect(calibrate([{ batch: 8, stepSeconds: 0 }], predicted).seconds(8)).toBe(predicted(8));
});
