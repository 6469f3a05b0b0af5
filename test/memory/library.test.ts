import { describe, expect, it } from 'vitest';
import { contextBytes } from '../../src/memory/library/context.js';
import { resolveImplementation } from '../../src/memory/library.js';
import { DEFAULT_SETUP } from '../../src/setup.js';
import { MIB } from '../../src/units.js';

const lazily = (multiprocessors: number | null) =>
  contextBytes({ target: { kind: 'cuda', multiprocessors, computeCapability: '8.6' }, loading: 'lazy', convolves: true });

describe('the context', () => {
  it.each([
    ['RTX 4060 Ti', 34, 107],
    ['RTX 3090', 82, 256],
    ['RTX PRO 6000', 188, 555],
  ])('of an %s is within reach of what was read there', (_, multiprocessors, mib) => {
    const { low, high } = lazily(multiprocessors);
    expect(low).toBeLessThan(mib * MIB);
    expect(high).toBeGreaterThan(mib * MIB);
  });

  it.each([
    ['V100', '7.0', 80, false, 1343],
    ['A100', '8.0', 108, false, 1451],
    ['A100 with cuDNN', '8.0', 108, true, 1700],
    ['RTX 3090', '8.6', 82, false, 1687],
  ])(
    'with all kernels loaded at once on an %s is what was read there, within 5 %%',
    (_, computeCapability, multiprocessors, convolves, mib) => {
      const { best } = contextBytes({ target: { kind: 'cuda', multiprocessors, computeCapability }, loading: 'eager', convolves });
      expect(Math.abs(best / (mib * MIB) - 1)).toBeLessThan(0.05);
    },
  );

  it('has a range on every kind of device, known or not', () => {
    for (const kind of ['cuda', 'rocm', 'mps', 'cpu'] as const) {
      const { low, best, high } = contextBytes({
        target: { kind, multiprocessors: null, computeCapability: null },
        loading: 'lazy',
        convolves: false,
      });
      expect(0 < low && low < best && best < high).toBe(true);
    }
  });
});

describe('an optimizer by default', () => {
  it('goes over all weights at once on CUDA, is fused under ZeRO, and goes one by one elsewhere', () => {
    const of = (setup: object, capability: number): string =>
      resolveImplementation({ ...DEFAULT_SETUP, ...setup }, capability).optimizerImplementation;
    expect(of({}, 80)).toBe('foreach');
    expect(of({}, 0)).toBe('single');
    expect(of({ gpus: 2, sharding: 'zero3' }, 80)).toBe('fused');
    expect(of({ gpus: 2, sharding: 'fsdp' }, 80)).toBe('foreach');
    expect(of({ gpus: 1, sharding: 'zero3' }, 80)).toBe('foreach');
    expect(of({ gpus: 2, sharding: 'zero3', optimizerImplementation: 'single' }, 80)).toBe('single');
  });
});
