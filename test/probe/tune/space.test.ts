import { describe, expect, it } from 'vitest';
import { commandOf, parseBatches } from '../../../src/commands/input/tune-request.js';
import { planTuneSpace } from '../../../src/plan/tune-space.js';
import { drawPoint, gridOf, settingAt, thinOut } from '../../../src/probe/tune/space.js';
import { hidePassword } from '../../../src/probe/tune/storage.js';
import { fillIn } from '../../../src/probe/tune/trial.js';
import { createRandom } from '../../../src/random.js';

const request = {
  batches: [512, 16, 64, 128, 64],
  reference: { batch: 64, learningRate: 0.1 },
  scaling: 'auto',
  noiseScale: null,
  spread: 1,
} as const;
const planned = (changes: object = {}) => planTuneSpace({ ...request, optimizer: 'momentum', ...changes, batches: [...request.batches] });

describe('batches', () => {
  it.each([
    ['16..1024', [16, 32, 64, 128, 256, 512, 1024]],
    ['24..100', [24, 48, 96]],
    ['8..8', [8]],
    ['16,24,32', [16, 24, 32]],
  ])('%s', (text, batches) => expect(parseBatches(text, '--batches')).toEqual(batches));
  it.each(['64..16', '16..', 'x', '0..8', '16,,32'])('%s is refused', (text) =>
    expect(() => parseBatches(text, '--batches')).toThrow('--batches: expected'),
  );
});

describe('coupling', () => {
  it('SGD: the rate grows with the batch', () => {
    const { space, rule } = planned();
    expect(space.batches).toEqual([16, 64, 128, 512]);
    expect([rule, space.rates]).toEqual(['linear', [0.025, 0.1, 0.2, 0.8]]);
  });
  it('Adam: with its square root', () => {
    const { space, rule } = planned({ optimizer: 'adamw' });
    expect(rule).toBe('sqrt');
    for (const [at, rate] of [0.05, 0.1, 0.1 * Math.SQRT2, 0.1 * Math.sqrt(8)].entries()) expect(space.rates[at]).toBeCloseTo(rate, 12);
  });
  it('stops at the noise scale, and says so', () => {
    const { space, warnings } = planned({ noiseScale: 128 });
    expect(space.rates).toEqual([0.025, 0.1, 0.2, 0.2]);
    expect(warnings.map(({ code }) => code)).toEqual(['ABOVE_NOISE_SCALE']);
  });
  it('can be switched off', () => expect(planned({ scaling: 'none' }).space.rates).toEqual([0.1, 0.1, 0.1, 0.1]));
});

describe('points', () => {
  const { space } = planned({ spread: 4 });
  it('a grid has every batch with the doublings of the rate, the reference first', () => {
    const settings = gridOf(space).map((point) => settingAt(space, point));
    expect(settings.length).toBe(4 * 5);
    expect(settings[0]).toEqual({ batch: 64, learningRate: 0.1 });
    expect(
      settings
        .filter(({ batch }) => batch === 16)
        .map(({ learningRate }) => learningRate)
        .sort(),
    ).toEqual([0.00625, 0.0125, 0.025, 0.05, 0.1]);
    expect(new Set(settings.map((setting) => JSON.stringify(setting))).size).toBe(20);
  });
  it('a spread below 2 still looks at both sides', () => expect(gridOf({ ...space, spread: 1.5 }).length).toBe(4 * 3));
  it('a cut grid keeps its reach', () => {
    const points = gridOf({ ...space, spread: 1 });
    expect(thinOut(points, 2).map(({ index }) => space.batches[index])).toEqual([64, 16]);
    expect(thinOut(points, 9)).toEqual(points);
  });
  it('draws stay below the ceiling and within the spread', () => {
    const random = createRandom(1);
    const drawn = Array.from({ length: 400 }, () => drawPoint(space, 512, random)!);
    expect(new Set(drawn.map(({ index }) => space.batches[index]))).toEqual(new Set([16, 64, 128]));
    const factors = drawn.map(({ factor }) => factor);
    expect(Math.min(...factors)).toBeGreaterThanOrEqual(0.25);
    expect(Math.max(...factors)).toBeLessThanOrEqual(4);
    expect(factors.filter((factor) => factor < 1).length / 400).toBeCloseTo(0.5, 1);
    expect(drawPoint(space, 16, random)).toBeNull();
  });
});

it('puts a setting into the words of a command', () => {
  const setting = { batch: 32, learningRate: 1e-7 };
  expect(fillIn(['{batch}', '--batch={batch}', '{lr}/{lr}'], setting)).toEqual(['{batch}', '--batch=32', '1e-7/1e-7']);
  expect(commandOf(['node', '{batch}']).warnings.map(({ code }) => code)).toEqual(['RATE_NOT_IN_COMMAND']);
});

it('hides the password of a storage', () => {
  expect(hidePassword('postgresql+psycopg2://me:secret@host/db')).toBe('postgresql+psycopg2://me:***@host/db');
  expect(hidePassword('sqlite:////tmp/study.db')).toBe('sqlite:////tmp/study.db');
});
