import { expect, it } from 'vitest';
import { calibrate, type Factors } from '../../src/speed/calibrate.js';

/** A device that works 1 ms a sample beside a program that takes 20 ms to launch its kernels. */
const predicted = (batch: number, { device, launching }: Factors): number => Math.max(0.001 * batch * device, 0.02 * launching);
const measure = (batches: number[], factors: Factors) => batches.map((batch) => ({ batch, stepSeconds: predicted(batch, factors) }));

it('one point stretches the whole prediction', () => {
  const { device, launching } = calibrate([{ batch: 100, stepSeconds: 0.3 }], predicted);
  expect(device).toBeCloseTo(3, 2);
  expect(launching).toBeCloseTo(3, 1);
});

it('tells the device from the program that feeds it', () => {
  const { device, launching } = calibrate(measure([1, 4, 64, 256], { device: 2, launching: 0.5 }), predicted);
  expect(device).toBeCloseTo(2, 1);
  expect(launching).toBeCloseTo(0.5, 1);
});

it('tells them apart where they add up, as on a CPU', () => {
  const sum = (batch: number, { device, launching }: Factors): number => 0.001 * batch * device + 0.02 * launching;
  const points = [1, 16, 128].map((batch) => ({ batch, stepSeconds: sum(batch, { device: 40, launching: 0.7 }) }));
  const { device, launching } = calibrate(points, sum);
  expect(device / 40).toBeCloseTo(1, 1);
  expect(Math.abs(launching / 0.7 - 1)).toBeLessThan(0.1);
});

it('leaves the prediction as it is without a point', () => {
  expect(calibrate([], predicted)).toEqual({ device: 1, launching: 1 });
  expect(calibrate([{ batch: 8, stepSeconds: 0 }], predicted)).toEqual({ device: 1, launching: 1 });
});
