import { describe, expect, it } from 'vitest';
import { metalWorkingSet } from '../../src/machine/apple.js';
import { detectMachine } from '../../src/machine/detect.js';
import { standIn } from './stand-in.js';

const GIB = 2 ** 30;
const MIB = 2 ** 20;

/** sysctl -n of an M1 with 16 GiB (brand string: workhorsy/py-cpuinfo issue 162). */
const sysctl = (values: Record<string, string>) => (args: string[]) =>
  values[args[1] ?? ''] === undefined ? { stderr: `sysctl: unknown oid '${args[1]}'\n`, exitCode: 1 } : { stdout: `${values[args[1]!]}\n` };
const M1 = { 'machdep.cpu.brand_string': 'Apple M1', 'hw.memsize': '17179869184' };

const mac = (values: Record<string, string>, available = 12 * GIB) =>
  detectMachine(
    standIn({
      platform: 'darwin',
      arch: 'arm64',
      tools: { sysctl: sysctl(values) },
      runtime: { totalMemory: 16 * GIB },
      hardware: { os: 'macOS 14.2.1', cpuModel: 'Apple M1', availableMemory: available },
    }),
  );

describe('an Apple silicon Mac', () => {
  it('has one GPU that shares the memory, of which Metal keeps two thirds resident', async () => {
    const { devices, tools, host } = await mac(M1);
    expect(devices.map(({ id, kind }) => [id, kind])).toEqual([
      ['mps', 'mps'],
      ['cpu', 'cpu'],
    ]);
    expect(devices[0]).toMatchObject({ name: 'Apple M1', unified: true, computeCapability: null });
    expect(devices[0]?.memory).toEqual({
      totalBytes: 16 * GIB,
      freeBytes: Math.floor((16 * GIB * 2) / 3),
      usedByOthersBytes: null,
      source: 'estimated',
      readFrom: 'sysctl',
    });
    expect(host.memory).toMatchObject({ totalBytes: 16 * GIB, availableBytes: 12 * GIB, limitedBy: 'host' });
    expect(tools).toEqual([]);
  });

  it('gives no more than what is available', async () => {
    expect((await mac(M1, 3 * GIB)).devices[0]?.memory.freeBytes).toBe(3 * GIB);
  });

  it('heeds a wired limit that the user set', async () => {
    expect((await mac({ ...M1, 'iogpu.wired_limit_mb': '11000' })).devices[0]?.memory.freeBytes).toBe(11000 * MIB);
    expect((await mac({ ...M1, 'iogpu.wired_limit_mb': '0' })).devices[0]?.memory.freeBytes).toBe(Math.floor((16 * GIB * 2) / 3));
  });

  it('is not an Intel Mac', async () => {
    const { devices } = await mac({ 'machdep.cpu.brand_string': 'Intel(R) Core(TM) i9-9880H CPU @ 2.30GHz', 'hw.memsize': '17179869184' });
    expect(devices.map(({ id }) => id)).toEqual(['cpu']);
  });
});

describe('metalWorkingSet', () => {
  it('is what Metal recommends as logs of llama.cpp print it', () => {
    expect(metalWorkingSet(16 * GIB) / MIB).toBeCloseTo(10922.67, 1);
    expect(metalWorkingSet(64 * GIB) / MIB).toBe(49152);
  });
});
