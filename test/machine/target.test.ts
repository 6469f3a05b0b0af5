import { describe, expect, it } from 'vitest';
import { resolveTarget } from '../../src/machine/target.js';
import { fixture, meminfo, nvidiaSmi, recorded, type StandIn, standIn } from './stand-in.js';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const here = (given: StandIn = {}) => standIn(given);
const rtx4080 = { 'nvidia-smi': nvidiaSmi(recorded('rtx-4080-super-595')) };
const broken = { 'nvidia-smi': () => ({ stdout: fixture('nvidia/version-mismatch.txt'), exitCode: 18 }) };
const hanging = { 'nvidia-smi': () => ({ error: 'timeout' as const, exitCode: null }) };

describe('--device with a profile', () => {
  it('plans for what one process gets there, without a look at this machine', async () => {
    const system = here({ tools: broken });
    const target = await resolveTarget({ device: 'rtx-3090' }, system);
    expect(target).toMatchObject({
      name: 'rtx-3090',
      kind: 'cuda',
      count: 1,
      totalBytes: 24576 * MIB,
      usableBytes: 24259 * MIB,
      computeCapability: '8.6',
      multiprocessors: 82,
      source: 'assumed',
    });
    expect(target.profile?.bandwidthBytesPerSecond).toBe(936.2e9);
    expect(system.calls).toEqual([]);
  });

  it('takes the whole size where nobody knows what a process gets', async () => {
    expect(await resolveTarget({ device: 'h100-nvl' }, here())).toMatchObject({ totalBytes: 95830 * MIB, usableBytes: 95830 * MIB });
  });

  it('needs a size where machines differ', async () => {
    await expect(resolveTarget({ device: 'apple-m2-max' }, here())).rejects.toMatchObject({ code: 'DEVICE_NEEDS_MEMORY', exitCode: 2 });
    const mac = await resolveTarget({ device: 'apple-m2-max', memory: '64GiB' }, here());
    expect(mac).toMatchObject({ kind: 'mps', totalBytes: 64 * GIB, usableBytes: 48 * GIB });
  });

  it('is refused when unknown, with near names', async () => {
    await expect(resolveTarget({ device: 'rtx-3o90' }, here())).rejects.toMatchObject({
      exitCode: 2,
      hint: expect.stringContaining('rtx-3090'),
    });
  });
});

describe('--memory and --reserve', () => {
  it('replaces the size', async () => {
    expect(await resolveTarget({ device: 'rtx-3090', memory: '12GiB' }, here())).toMatchObject({
      totalBytes: 12 * GIB,
      usableBytes: 12 * GIB,
      source: 'assumed',
    });
    expect(await resolveTarget({ memory: '8GiB' }, here({ tools: rtx4080 }))).toMatchObject({
      name: 'rtx-4080-super',
      totalBytes: 8 * GIB,
      usableBytes: 8 * GIB,
    });
    expect(await resolveTarget({ device: 'cpu', memory: '3GiB' }, here())).toMatchObject({ kind: 'cpu', usableBytes: 3 * GIB });
  });

  it('keeps a share of the device or a size free', async () => {
    const usable = async (reserve: string) => (await resolveTarget({ device: 'rtx-3090', reserve }, here())).usableBytes;
    expect(await usable('5%')).toBe(24259 * MIB - Math.ceil(0.05 * 24576 * MIB));
    expect(await usable('0.1')).toBe(24259 * MIB - Math.ceil(0.1 * 24576 * MIB));
    expect(await usable('1GiB')).toBe(24259 * MIB - GIB);
    expect(await usable('0%')).toBe(24259 * MIB);
  });

  it.each([
    [{ memory: '-1GiB' }, 'BAD_BYTES'],
    [{ memory: 'much' }, 'BAD_BYTES'],
    [{ memory: '0' }, 'BAD_BYTES'],
    [{ reserve: '100%' }, 'BAD_FRACTION'],
    [{ reserve: '-5%' }, 'BAD_FRACTION'],
    [{ reserve: '99.9%' }, 'BAD_RESERVE'],
    [{ reserve: '40GiB' }, 'BAD_RESERVE'],
    [{ reserve: '5 bananas' }, 'BAD_BYTES'],
  ])('refuses %j', async (options, code) => {
    await expect(resolveTarget({ device: 'rtx-3090', ...options }, here())).rejects.toMatchObject({ code, exitCode: 2 });
  });
});

describe('this machine', () => {
  it('is its card, less what others use', async () => {
    const target = await resolveTarget({}, here({ tools: rtx4080 }));
    expect(target).toMatchObject({
      name: 'rtx-4080-super',
      kind: 'cuda',
      count: 1,
      totalBytes: 16376 * MIB,
      computeCapability: '8.9',
      multiprocessors: 80,
      source: 'measured',
    });
    expect(target.usableBytes).toBeLessThan(target.profile!.memory.usableBytes!);
  });

  it('is the card with the most free memory, among those a program sees', async () => {
    const query = `index, uuid, name, memory.total [MiB], memory.free [MiB], memory.used [MiB]
0, GPU-1, NVIDIA L4, 23034 MiB, 2000 MiB, 20000 MiB
1, GPU-2, NVIDIA L4, 23034 MiB, 22000 MiB, 600 MiB
2, GPU-3, NVIDIA L4, 23034 MiB, 22690 MiB, 1 MiB
`;
    const tools = { 'nvidia-smi': nvidiaSmi({ query }) };
    expect(await resolveTarget({}, here({ tools }))).toMatchObject({ usableBytes: 22690 * MIB, count: 3 });
    expect(await resolveTarget({}, here({ tools, env: { CUDA_VISIBLE_DEVICES: '0,1' } }))).toMatchObject({
      usableBytes: 22000 * MIB,
      count: 2,
    });
    expect(await resolveTarget({ device: 'cuda:0' }, here({ tools }))).toMatchObject({ usableBytes: 2000 * MIB, count: 1 });
  });

  it('is one MIG instance with its own multiprocessors', async () => {
    const tools = { 'nvidia-smi': nvidiaSmi(recorded('a100-mig-535', ['list', 'xml'])) };
    const target = await resolveTarget({}, here({ tools }));
    expect(target).toMatchObject({
      name: 'NVIDIA A100-SXM4-80GB MIG 1g.20gb',
      count: 1,
      totalBytes: 19968 * MIB,
      usableBytes: 19955 * MIB,
      multiprocessors: 14,
    });
    expect(target.computeCapability).toBe('8.0');
    expect(target.profile?.name).toBe('a100-80gb');
  });

  it('is a part that shares the host memory, by what is available', async () => {
    const files = { '/proc/meminfo': meminfo(127600748 * 1024, 118566368 * 1024) };
    const target = await resolveTarget({}, here({ files, tools: { 'nvidia-smi': nvidiaSmi(recorded('gb10-580')) } }));
    expect(target).toMatchObject({ name: 'gb10', usableBytes: 118566368 * 1024, computeCapability: '12.1', source: 'estimated' });
  });

  it("is its CPU without an accelerator, under the container's limit", async () => {
    const files = {
      '/proc/self/cgroup': '0::/\n',
      '/proc/self/mountinfo': '29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n',
      '/sys/fs/cgroup/memory.max': `${8 * GIB}\n`,
      '/sys/fs/cgroup/memory.current': `${2 * GIB}\n`,
    };
    expect(await resolveTarget({}, here({ files }))).toMatchObject({
      name: 'cpu',
      kind: 'cpu',
      totalBytes: 8 * GIB,
      usableBytes: 6 * GIB,
      source: 'measured',
    });
    expect(await resolveTarget({ device: 'cpu' }, here({ files, tools: broken }))).toMatchObject({ kind: 'cpu', usableBytes: 6 * GIB });
    expect(await resolveTarget({}, here({ tools: rtx4080, env: { CUDA_VISIBLE_DEVICES: '' } }))).toMatchObject({ kind: 'cpu' });
  });

  it('is its CPU with the cores that a process may use and what they can do, without running a tool', async () => {
    const files = { '/proc/self/status': 'Cpus_allowed_list:\t0-2\n', '/proc/cpuinfo': 'flags\t\t: fpu avx2 fma\n' };
    const system = here({ files });
    expect(await resolveTarget({ device: 'cpu' }, system)).toMatchObject({
      multiprocessors: 3,
      core: { vector: 'avx2', bf16: null, hertz: null },
    });
    expect(system.calls).toEqual([]);
  });

  it('is undetermined, not a CPU, when nvidia-smi fails or hangs', async () => {
    await expect(resolveTarget({}, here({ tools: broken }))).rejects.toMatchObject({
      exitCode: 4,
      message: expect.stringContaining('version mismatch'),
    });
    await expect(resolveTarget({ memory: '8GiB' }, here({ tools: hanging }))).rejects.toMatchObject({
      code: 'UNREADABLE_DEVICE',
      exitCode: 4,
    });
    await expect(resolveTarget({ device: 'cuda' }, here({ tools: hanging }))).rejects.toMatchObject({ exitCode: 4 });
  });

  it('misses a device that is asked for and not here, or hidden', async () => {
    await expect(resolveTarget({ device: 'cuda' }, here())).rejects.toMatchObject({ code: 'NO_DEVICE', exitCode: 3 });
    await expect(resolveTarget({ device: 'cuda:1' }, here({ tools: rtx4080 }))).rejects.toMatchObject({ code: 'NO_DEVICE', exitCode: 3 });
    const hidden = resolveTarget({ device: 'cuda:0' }, here({ tools: rtx4080, env: { CUDA_VISIBLE_DEVICES: '-1' } }));
    await expect(hidden).rejects.toMatchObject({ exitCode: 3, message: expect.stringContaining('hidden by CUDA_VISIBLE_DEVICES=-1') });
  });

  it('needs a size where a card does not tell its own and no profile knows it', async () => {
    const query = 'index, name, memory.total [MiB]\n0, Graphics Device, [Insufficient Permissions]\n';
    await expect(resolveTarget({}, here({ tools: { 'nvidia-smi': nvidiaSmi({ query }) } }))).rejects.toMatchObject({
      code: 'UNREADABLE_DEVICE',
      exitCode: 4,
    });
  });
});
