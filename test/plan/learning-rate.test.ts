import { describe, expect, it } from 'vitest';
import { type RateReference, type RateRequest, scaleLearningRate } from '../../src/plan/learning-rate.js';

const reference: RateReference = {
  batch: 256,
  learningRate: 0.1,
  origin: 'user',
  name: 'your reference',
  source: 'given',
  rule: null,
  limit: null,
  momentum: null,
};
const request: RateRequest = {
  optimizer: 'momentum',
  batch: 1024,
  reference,
  scaling: 'auto',
  datasetSize: null,
  noiseScale: null,
  momentum: null,
  beta1: null,
  beta2: null,
};
const adam: RateRequest = { ...request, optimizer: 'adamw', reference: { ...reference, learningRate: 1e-3 }, beta1: 0.9, beta2: 0.999 };
const codes = (value: RateRequest) => scaleLearningRate(value).warnings.map((warning) => warning.code);
const rate = (value: RateRequest) => scaleLearningRate(value).learningRate;

describe('the rule follows the optimizer', () => {
  it.each([['sgd'], ['momentum'], ['nesterov']] as const)('%s: linear', (optimizer) => {
    expect(rate({ ...request, optimizer })).toMatchObject({ value: expect.closeTo(0.4, 12), rule: 'linear', kappa: 4, confidence: 'high' });
  });
  it.each([['adam'], ['adamw'], ['adamw-8bit'], ['rmsprop']] as const)('%s: square root', (optimizer) => {
    expect(rate({ ...adam, optimizer })).toMatchObject({ value: expect.closeTo(2e-3, 12), rule: 'sqrt', confidence: 'medium' });
    expect(codes({ ...adam, optimizer })).toEqual([]);
  });
  it.each([['lamb'], ['lars']] as const)('%s: the square root of LEGW', (optimizer) => {
    expect(rate({ ...adam, optimizer })).toMatchObject({ value: expect.closeTo(2e-3, 12), rule: 'lamb' });
  });
  it.each([['lion'], ['muon'], ['adagrad'], ['adafactor']] as const)('%s: square root, said to be unstudied', (optimizer) => {
    expect(rate({ ...adam, optimizer })).toMatchObject({ rule: 'sqrt', confidence: 'low' });
    expect(codes({ ...adam, optimizer })).toEqual(['RULE_NOT_STUDIED']);
  });
  it('at the reference batch the rate is unchanged and no rule is applied: how the batch is split does not matter', () => {
    expect(rate({ ...request, batch: 256 })).toMatchObject({ value: 0.1, rule: 'none', confidence: 'high' });
  });
  it('names its source and lies within its range', () => {
    for (const batch of [1, 32, 256, 4096, 65536]) {
      for (const base of [request, adam]) {
        const { value, range, citation } = rate({ ...base, batch });
        expect(range.low).toBeLessThan(value);
        expect(range.high).toBeGreaterThan(value);
        expect(citation).not.toBe('');
      }
    }
  });
});

describe('must warn or refuse', () => {
  it('linear above 8192, not at or below it', () => {
    for (const batch of [512, 4096, 8192]) expect(codes({ ...request, batch })).toEqual([]);
    for (const batch of [16384, 32768, 65536]) expect(codes({ ...request, batch })).toEqual(['LINEAR_RULE_ABOVE_LIMIT']);
    expect(rate({ ...request, batch: 65536 })).toMatchObject({ value: expect.closeTo(25.6, 9), confidence: 'low' });
  });
  it('Adam above the noise scale: capped there, with a warning', () => {
    const capped = { ...adam, noiseScale: 512, batch: 4096 };
    expect(rate(capped).value).toBeCloseTo(1e-3 * Math.SQRT2, 12);
    expect(codes(capped)).toContain('ABOVE_NOISE_SCALE');
    expect(codes({ ...adam, noiseScale: 8192, batch: 4096 })).not.toContain('ABOVE_NOISE_SCALE');
  });
  it('Adam at 8 times the batch and more: the exponent is open between a half and one, unless a recipe names its rule', () => {
    expect(codes({ ...adam, batch: 7 * 256 })).toEqual([]);
    const [warning] = scaleLearningRate({ ...adam, batch: 16 * 256 }).warnings;
    expect(warning).toMatchObject({ code: 'RATE_EXPONENT_OPEN', hint: expect.stringContaining('range') });
    expect(warning?.message).toContain('at 16 times the batch the square root gives 0.004 and the linear rule 0.016');
    expect(codes({ ...adam, batch: 16 * 256, reference: { ...adam.reference, rule: 'sqrt' } })).toEqual([]);
    expect(codes({ ...request, batch: 16 * 256 })).toEqual([]);
  });
  it('the SDE rule at kappa >= 1 / (1 - beta1): refused, the square root takes its place', () => {
    const far = { ...adam, scaling: 'sde', batch: 16 * 256 } as const;
    expect(codes(far)).toContain('SDE_RULE_REFUSED');
    expect(rate(far)).toMatchObject({ value: expect.closeTo(4e-3, 12), rule: 'sqrt' });
    expect(scaleLearningRate(far).sde).toBe(false);
    expect(scaleLearningRate({ ...far, batch: 9 * 256 })).toMatchObject({ sde: true, warnings: [] });
    expect(codes({ ...request, scaling: 'sde' })).toEqual(['SDE_RULE_REFUSED']);
  });
  it('Adam above the noise scale: its range reaches down with the surge, 2 / (sqrt(r) + sqrt(1/r))', () => {
    const { value, range } = rate({ ...adam, noiseScale: 512, batch: 16 * 512 });
    expect(range.low).toBeLessThanOrEqual((value * 0.4706) / 2 + 1e-9);
    expect(rate({ ...adam, noiseScale: 512, batch: 512 }).range.low).toBeCloseTo(value / 2, 12);
  });
  it('above a tenth of the data set, where little of the noise that the rules hold is left', () => {
    const small = { ...request, reference: { ...reference, batch: 16 }, datasetSize: 1348 };
    expect(codes({ ...small, batch: 134 })).toEqual([]);
    expect(codes({ ...small, batch: 256 })).toEqual(['BATCH_NEAR_DATASET']);
    expect(scaleLearningRate({ ...small, batch: 256 }).warnings[0]!.message).toContain('18.99 % of the data set');
    expect(scaleLearningRate({ ...small, batch: 256 }).warnings[0]!.hint).toContain('at most 134');
    expect(rate({ ...small, batch: 256 }).confidence).toBe('low');
    expect(codes({ ...small, batch: 8 })).toEqual([]);
    expect(codes({ ...small, batch: 1348 })).toEqual([]);
  });
  it('a rule asked for against what was measured', () => {
    expect(codes({ ...request, scaling: 'sqrt' })).toEqual(['SCALING_AGAINST_LITERATURE']);
    expect(codes({ ...request, scaling: 'none' })).toEqual(['SCALING_AGAINST_LITERATURE']);
    expect(codes({ ...adam, scaling: 'linear' })).toEqual(['SCALING_AGAINST_LITERATURE']);
    for (const fine of [{ ...request, scaling: 'linear' } as const, { ...adam, scaling: 'sqrt' } as const]) expect(codes(fine)).toEqual([]);
    expect(codes({ ...request, scaling: 'sqrt', batch: 64 })).toEqual([]);
  });
  it('AdaScale without a noise scale', () => {
    expect(codes({ ...request, scaling: 'adascale' })).toEqual(['NOISE_SCALE_NEEDED']);
    expect(rate({ ...request, scaling: 'adascale', noiseScale: 9 * 256 }).value).toBeCloseTo(0.1 * (10 / (9 / 4 + 1)), 12);
    expect(rate({ ...adam, scaling: 'adascale', noiseScale: 9 * 256 }).value).toBeCloseTo(1e-3 * Math.sqrt(10 / (9 / 4 + 1)), 12);
    expect([request, adam].map((each) => rate({ ...each, scaling: 'adascale', noiseScale: 9 * 256 }).rule)).toEqual(['linear', 'sqrt']);
  });
  it('a recipe that scales AdamW linearly is followed and marked', () => {
    const deit: RateReference = { ...reference, batch: 512, learningRate: 5e-4, origin: 'recipe', name: 'deit', rule: 'linear' };
    expect(rate({ ...adam, reference: deit })).toMatchObject({ value: expect.closeTo(1e-3, 12), rule: 'linear' });
    expect(codes({ ...adam, reference: deit })).toEqual(['RECIPE_SCALES_LINEARLY']);
    expect(rate({ ...adam, reference: deit, batch: 512 })).toMatchObject({ value: 5e-4, rule: 'recipe' });
    expect(rate({ ...adam, reference: deit, scaling: 'sqrt' })).toMatchObject({
      value: expect.closeTo(5e-4 * Math.SQRT2, 12),
      rule: 'sqrt',
    });
  });
});

describe('momentum and defaults', () => {
  it('a momentum change keeps eps / (1 - m)', () => {
    const changed = rate({ ...request, batch: 256, reference: { ...reference, momentum: 0.9 }, momentum: 0.95 });
    expect(changed.value / (1 - 0.95)).toBeCloseTo(0.1 / (1 - 0.9), 12);
  });
  it('a default that was made for no batch is not scaled, and is said to be weak', () => {
    const start = rate({
      ...adam,
      reference: { ...reference, batch: null, learningRate: 1e-3, origin: 'default', name: 'torch.optim.AdamW' },
    });
    expect(start).toMatchObject({ value: 1e-3, rule: 'none', confidence: 'low', source: 'assumed' });
    expect(start.range.high / start.range.low).toBeCloseTo(100, 9);
  });
});
