import { describe, expect, it } from 'vitest';
import type { CpuCore, TargetDevice } from '../../src/machine/machine.js';
import { resolveTarget } from '../../src/machine/target.js';
import { ratesOf } from '../../src/speed/rates.js';

const GIB = 2 ** 30;
const UNKNOWN: CpuCore = { vector: null, bf16: null, hertz: null };

function cpu(cores: number | null, core?: Partial<CpuCore>): TargetDevice {
  const memory = { totalBytes: 8 * GIB, usableBytes: 8 * GIB };
  const device = { name: 'cpu', kind: 'cpu', count: 1, computeCapability: null, profile: null, source: 'measured' } as const;
  return { ...device, ...memory, multiprocessors: cores, ...(core ? { core: { ...UNKNOWN, ...core } } : {}) };
}

/** Peak rates of products in float32, bfloat16 and float16, in operations per second. */
function peaks(target: TargetDevice): number[] {
  const { matrix } = ratesOf(target, 'fp32');
  return (['float32', 'bfloat16', 'float16'] as const).map((type) => matrix({ type, kind: 'matmul' }));
}

describe('rates of a CPU', () => {
  it('are those of two cores with AVX2', () => {
    const fp32 = 2 * 32 * 2.6e9;
    const rates = ratesOf(cpu(2, { vector: 'avx2', hertz: 2.6e9 }), 'fp32');
    expect(rates).toMatchObject({ known: false, vector: fp32, bytesPerSecond: 40e9, multiprocessors: 2, launches: false });
    expect(peaks(cpu(2, { vector: 'avx2', hertz: 2.6e9 }))).toEqual([fp32, fp32, fp32]);
  });

  it('are those of 64 cores with AVX-512, and of AMX in bfloat16 alone', () => {
    const fp32 = 64 * 64 * 2e9;
    expect(peaks(cpu(64, { vector: 'avx512', bf16: 'amx', hertz: 2e9 }))).toEqual([fp32, 64 * 1024 * 2e9, fp32]);
    expect(peaks(cpu(64, { vector: 'avx512', bf16: 'avx512', hertz: 2e9 }))).toEqual([fp32, 2 * fp32, fp32]);
  });

  it('agree with a profile of the same CPU', async () => {
    const profile = await resolveTarget({ device: 'cpu-xeon-8480', memory: '64GiB' });
    const [fp32, bf16] = peaks(cpu(56, { vector: 'avx512', bf16: 'amx', hertz: 2e9 }));
    expect(peaks(profile).slice(0, 2)).toEqual([fp32, bf16]);
  });

  it('are assumed as far as nothing is known', () => {
    expect(ratesOf(cpu(null), 'fp32')).toMatchObject({ known: false, vector: 8 * 32 * 3e9, bytesPerSecond: 40e9, multiprocessors: null });
    expect(peaks(cpu(4, { vector: 'neon' }))[0]).toBe(4 * 16 * 3e9);
    expect(peaks(cpu(4, {}))[0]).toBe(4 * 32 * 3e9);
  });

  it('are those of its profile where it has one', async () => {
    const rates = ratesOf(await resolveTarget({ device: 'cpu-i7-8700', memory: '16GiB' }), 'fp32');
    expect(rates).toMatchObject({ known: true, vector: 0.6144e12, bytesPerSecond: 41.6e9, watts: 65, multiprocessors: 6 });
  });
});
