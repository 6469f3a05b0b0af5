import { describe, expect, it } from 'vitest';
import { readProcessor } from '../../src/machine/cpu-core.js';
import { type StandIn, standIn } from './stand-in.js';

interface Socket {
  cores: number;
  threads?: number;
  vendor?: string;
  family?: number;
  flags?: string;
  bogomips?: string;
}

/** /proc/cpuinfo as Linux prints it on x86, for one socket: threads of all cores after one another, as they are numbered. */
function cpuinfo({ cores, threads = 1, vendor = 'GenuineIntel', family = 6, flags = '', bogomips = '5199.99' }: Socket): string {
  const blocks = Array.from(
    { length: cores * threads },
    (_, i) => `processor\t: ${i}
vendor_id\t: ${vendor}
cpu family\t: ${family}
cpu MHz\t\t: 800.000
physical id\t: 0
siblings\t: ${cores * threads}
core id\t\t: ${i % cores}
cpu cores\t: ${cores}
flags\t\t: fpu ${flags} arat
vmx flags\t: vnmi
bogomips\t: ${bogomips}
power management:
`,
  );
  return blocks.join('\n');
}

const read = (text: string | null, given: StandIn = {}) =>
  readProcessor(standIn({ ...given, files: { ...given.files, ...(text === null ? {} : { '/proc/cpuinfo': text }) } }));
const threads = (count: number): StandIn => ({ runtime: { logicalCores: count, availableParallelism: count } });

describe('readProcessor', () => {
  it('counts cores, not their threads, under what limits this process', async () => {
    const text = cpuinfo({ cores: 4, threads: 2 });
    expect((await read(text, threads(8))).cores).toBe(4);
    expect((await read(text, { ...threads(8), files: { '/proc/self/status': 'Cpus_allowed_list:\t0-1\n' } })).cores).toBe(2);
    expect((await read(cpuinfo({ cores: 4 }) + cpuinfo({ cores: 4 }).replaceAll('physical id\t: 0', 'physical id\t: 1'))).cores).toBe(8);
  });

  it.each([
    ['avx avx2 fma', 'avx2', null],
    ['avx2 avx512f avx512dq', 'avx512', null],
    ['avx2 avx512f avx512_bf16', 'avx512', 'avx512'],
    ['avx2 avx512f avx512_bf16 amx_bf16 amx_tile', 'avx512', 'amx'],
    ['sse4_2 avx', null, null],
  ])('reads the flags %s', async (flags, vector, bf16) => {
    expect((await read(cpuinfo({ cores: 2, flags }))).core).toMatchObject({ vector, bf16 });
  });

  it('takes AVX-512 that runs in two passes for as wide as AVX2', async () => {
    const amd = { cores: 2, vendor: 'AuthenticAMD', flags: 'avx2 avx512f avx512_bf16' };
    expect((await read(cpuinfo({ ...amd, family: 25 }))).core).toMatchObject({ vector: 'avx2', bf16: 'avx512' });
    expect((await read(cpuinfo({ ...amd, family: 26 }))).core.vector).toBe('avx512');
  });

  it('has the base clock from a constant time-stamp counter, whatever the clock is now', async () => {
    expect((await read(cpuinfo({ cores: 2, flags: 'constant_tsc' }))).core.hertz).toBeCloseTo(2.6e9, -5);
    expect((await read(cpuinfo({ cores: 2 }))).core.hertz).toBeNull();
  });

  it('is NEON on 64-bit Arm, whose BogoMIPS are not those of a clock', async () => {
    const arm = 'processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd bf16\nCPU implementer\t: 0x41\n';
    const known = { cores: 8, core: { vector: 'neon', bf16: null, hertz: null } };
    expect(await read(arm, { arch: 'arm64' })).toEqual(known);
    expect(await read(null, { arch: 'arm64', platform: 'darwin' })).toEqual(known);
  });

  it('knows the cores alone where there is no /proc/cpuinfo', async () => {
    expect(await read(null)).toEqual({ cores: 8, core: { vector: null, bf16: null, hertz: null } });
  });
});
