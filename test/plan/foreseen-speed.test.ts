import { describe, expect, it } from 'vitest';
import { resolveTarget } from '../../src/machine/target.js';
import { readModel } from '../../src/model/open.js';
import { fitSpeed, foreseeSpeed } from '../../src/plan/foreseen-speed.js';
import { DEFAULT_SETUP, type Setup } from '../../src/setup.js';
import { StepTraces } from '../../src/trace/index.js';

async function request(device: string, changes: Partial<Setup> = {}) {
  const setup: Setup = { ...DEFAULT_SETUP, precision: 'amp-fp16', optimizer: 'momentum', ...changes };
  const [model, target] = await Promise.all([readModel('resnet50', {}), resolveTarget({ device })]);
  return { model, setup, target, maxMicro: 200, traces: new StepTraces(model, setup, true) };
}

describe('foreseeSpeed', () => {
  it('predicts every power of two and the largest micro batch', async () => {
    const { points, updateSeconds } = foreseeSpeed(await request('rtx-3090'))!;
    expect(points.map(({ batch }) => batch)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 200]);
    expect(points.every(({ source }) => source === 'estimated')).toBe(true);
    const rates = points.map(({ batch, stepSeconds }) => batch / stepSeconds);
    expect(rates).toEqual([...rates].sort((a, b) => a - b));
    expect(updateSeconds).toBeGreaterThan(0);
    expect(updateSeconds).toBeLessThan(points[0]!.stepSeconds);
  });
  it('counts communication once an update', async () => {
    const alone = foreseeSpeed(await request('rtx-3090'))!;
    const together = foreseeSpeed(await request('rtx-3090', { gpus: 8 }))!;
    expect(together.points[0]!.stepSeconds).toBeGreaterThan(alone.points[0]!.stepSeconds);
    expect(together.updateSeconds).toBeGreaterThan(alone.updateSeconds!);
  });
  it('is null where nothing fits', async () => {
    expect(foreseeSpeed({ ...(await request('rtx-3090')), maxMicro: 0 })).toBeNull();
  });
  it('says assumed where nobody knows the rates', async () => {
    const { points } = foreseeSpeed(await request('cpu', { precision: 'fp32' }))!;
    expect(points[0]!.source).toBe('assumed');
  });
});

describe('fitSpeed', () => {
  it('keeps what was measured and fits what lies between and beyond', async () => {
    const asked = await request('rtx-3090');
    const slower = foreseeSpeed(asked)!.points.filter(({ batch }) => [8, 64].includes(batch));
    const measured = slower.map(({ batch, stepSeconds }) => ({ batch, stepSeconds: 2 * stepSeconds, source: 'measured' as const }));
    const { points } = fitSpeed(asked, { points: measured });
    const at = (batch: number) => points.find((point) => point.batch === batch)!;
    expect(at(8)).toEqual(measured[0]);
    expect(at(64)).toEqual(measured[1]);
    expect(at(128).source).toBe('calibrated');
    expect(at(128).stepSeconds).toBeCloseTo(2 * foreseeSpeed(asked)!.points.find(({ batch }) => batch === 128)!.stepSeconds, 4);
  });
});
