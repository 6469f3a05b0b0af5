import { describe, expect, it } from 'vitest';
import { resolveTarget } from '../../src/machine/target.js';
import { readModel } from '../../src/model/open.js';
import { DEFAULT_SETUP, type Setup } from '../../src/setup.js';
import { predictSpeed, type SpeedOptions } from '../../src/speed/predict.js';

async function curveOf(name: string, device: string, changes: Partial<Setup> = {}, options: SpeedOptions = {}) {
  const target = await resolveTarget({ device, memory: '32GiB' });
  return predictSpeed(await readModel(name, {}), { ...DEFAULT_SETUP, precision: 'amp-fp16', ...changes }, target, options);
}

describe('predictSpeed', () => {
  it('says how much of the peak rate is used', async () => {
    const curve = await curveOf('resnet50', 'a100-40gb');
    const { mfu, samplesPerSecond, batch, stepSeconds } = curve.at(64);
    expect(samplesPerSecond).toBeCloseTo(batch / stepSeconds);
    expect(mfu).toBeCloseTo((samplesPerSecond * curve.flopsPerSample) / 312e12, 3);
  });

  it('is no faster than the data loader', async () => {
    const free = await curveOf('resnet50', 'a100-40gb');
    const fed = await curveOf('resnet50', 'a100-40gb', {}, { loaderSamplesPerSecond: 100 });
    expect(free.at(64).samplesPerSecond).toBeGreaterThan(100);
    expect(fed.at(64).samplesPerSecond).toBeCloseTo(100);
    expect(fed.at(64).stepSeconds).toBeCloseTo(0.64);
  });

  it('pays for the optimizer once an update, and more for one of more passes', async () => {
    const [sgd, adam] = [await curveOf('vgg16', 't4', { optimizer: 'sgd' }), await curveOf('vgg16', 't4', { optimizer: 'adam' })];
    const weights = 138357544 * 4;
    expect(sgd.updateSeconds(8)).toBeGreaterThanOrEqual((3 * weights) / 320e9);
    expect(adam.updateSeconds(8)).toBeGreaterThan(4 * sgd.updateSeconds(8));
  });

  it('hides a part of the communication behind backward', async () => {
    const seconds = async (changes: Partial<Setup>): Promise<number> =>
      (await curveOf('vgg16', 'rtx-4090', { optimizer: 'sgd', ...changes })).at(64).stepSeconds;
    const [alone, together] = [await seconds({}), await seconds({ gpus: 8 })];
    const exchange = (2 * 138357544 * 4 * 7) / 8 / (31.5e9 * 0.8);
    expect(together).toBeGreaterThan(alone);
    expect(together).toBeLessThan(alone + exchange);
  });

  it('takes measured points as they are and what lies between them as calibrated', async () => {
    const plain = await curveOf('digits-cnn', 'cpu', { precision: 'fp32' });
    const measured = [1, 64].map((batch) => ({ batch, stepSeconds: 3 * plain.at(batch).stepSeconds }));
    const curve = await curveOf('digits-cnn', 'cpu', { precision: 'fp32' }, { measured });
    expect(plain.source).toBe('assumed');
    expect(curve.at(64)).toMatchObject({ stepSeconds: measured[1]!.stepSeconds, source: 'measured' });
    expect(curve.at(16).source).toBe('calibrated');
    expect(curve.at(16).stepSeconds / plain.at(16).stepSeconds).toBeCloseTo(3, 1);
    expect(curve.knee([1, 2, 4, 8, 16, 32, 64])).toBe(plain.knee([1, 2, 4, 8, 16, 32, 64]));
  });
});
