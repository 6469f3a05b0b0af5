import { describe, expect, it } from 'vitest';
import { parseSetup, setupFlags } from '../../src/commands/flags.js';
import { parseCount, parseImage, parseList, parsePositive } from '../../src/commands/input/values.js';
import { UsageError } from '../../src/errors.js';
import { DEFAULT_SETUP, OPTIMIZERS, PRECISIONS } from '../../src/setup.js';

type Flags = Parameters<typeof parseSetup>[0];
const parse = (flags: Partial<Record<keyof Flags, unknown>>) => parseSetup({ 'keep-outputs': false, ...flags } as Flags);

describe('parseSetup', () => {
  it('is the default setup with the largest batch when nothing is said', () => {
    expect(parse({})).toEqual({ setup: DEFAULT_SETUP, batch: 'auto' });
  });

  it('takes what the user says', () => {
    const flags = {
      batch: '32',
      image: '224x192',
      seq: 128,
      classes: 10,
      head: 'causal-lm',
      precision: 'amp-bf16',
      method: 'lora',
      'lora-targets': 'q, v',
    };
    expect(parse(flags)).toMatchObject({
      batch: 32,
      image: [224, 192],
      seq: 128,
      classes: 10,
      head: 'causal-lm',
      setup: { batch: 32, precision: 'amp-bf16', loraTargets: ['q', 'v'] },
    });
  });

  it('refuses flags of adapters where the method has none', () => {
    expect(() => parse({ 'lora-rank': 8 })).toThrow('--lora-rank: --method full has no adapters');
    expect(() => parse({ 'lora-targets': 'q', method: 'frozen-backbone' })).toThrow(
      '--lora-targets: --method frozen-backbone has no adapters',
    );
    expect(parse({ 'lora-rank': 4, method: 'qlora' }).setup.loraRank).toBe(4);
  });

  it.each(['0', '-1', '1.5', '1e99', 'abc', '', ' ', '0x10', 'NaN', '１'])(
    'refuses batch "%s", naming flag, found and expected',
    (batch) => {
      expect(() => parse({ batch })).toThrow(UsageError);
      expect(() => parse({ batch })).toThrow(`--batch: expected a whole number from 1 to 1000000000000000, found "${batch}"`);
    },
  );

  it('refuses devices that cannot be grouped', () => {
    expect(() => parse({ gpus: 6, 'tensor-parallel': 4 })).toThrow('--tensor-parallel: expected a divisor of --gpus 6, found 4');
  });

  it('offers every value of the setup', () => {
    expect(setupFlags.precision.options).toEqual(PRECISIONS);
    expect(setupFlags.optimizer.options).toEqual(OPTIMIZERS);
  });
});

describe('values', () => {
  it('reads what is meant', () => {
    expect([parseCount(' 12 ', '--n'), parseCount('0', '--n', 0)]).toEqual([12, 0]);
    expect([parsePositive('1e-4', '--x'), parsePositive('3', '--x')]).toEqual([1e-4, 3]);
    expect([parseImage('64', '--image'), parseImage('32X48', '--image')]).toEqual([
      [64, 64],
      [32, 48],
    ]);
    expect(parseList('a, b', '--names')).toEqual(['a', 'b']);
  });

  it.each([
    () => parseCount('9'.repeat(17), '--n'),
    () => parsePositive('', '--n'),
    () => parsePositive('Infinity', '--n'),
    () => parsePositive('0', '--n'),
    () => parseImage('0', '--n'),
    () => parseImage('1x', '--n'),
    () => parseImage('1x2x3', '--n'),
    () => parseList('a,,b', '--n'),
  ])('refuses what is not: %s', (read) => {
    expect(read).toThrow(/^--n: expected .* found "/);
  });
});
