import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { deviceProfile } from '../../src/machine/profile-schema.js';
import { deviceProfileNames, listDeviceProfiles, loadDeviceProfile, matchDeviceProfile } from '../../src/machine/profiles.js';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const names = await deviceProfileNames();
const raw = (name: string) => parse(readFileSync(new URL(`../../profiles/devices/${name}.yaml`, import.meta.url), 'utf8'));

describe('the device library', () => {
  it('has what the contract and the issues name', () => {
    for (const name of [
      'rtx-3090',
      'a100-40gb',
      'a100-80gb',
      'h100-80gb',
      't4',
      'l4',
      'v100-16gb',
      'v100-32gb',
      'rtx-3060',
      'rtx-3060-8gb',
      'rtx-4060',
      'cpu',
      'cpu-i7-8700',
      'cpu-epyc-7763',
      'cpu-xeon-8380',
      'cpu-xeon-8480',
      'k80',
      'p100',
      'rtx-2060',
      'rtx-2060-super',
      'rtx-2070',
      'rtx-2070-super',
      'rtx-2080',
      'rtx-2080-ti',
      'rtx-3050',
      'rtx-3070',
      'rtx-3080',
      'rtx-4070',
      'rtx-4070-ti-super',
      'rtx-4080',
      'rtx-4090',
      'rtx-5060-ti',
      'rtx-5070',
      'rtx-5080',
      'rtx-5090',
      'a10',
      'a40',
      'l40s',
      'h100-pcie',
      'h100-nvl',
      'h200',
      'b200',
      'gb10',
      'jetson-agx-orin-64gb',
      'rtx-a4000',
      'rtx-a5000',
      'rtx-a6000',
      'rtx-6000-ada',
      'mi210',
      'mi250',
      'mi300x',
      'mi325x',
      'rx-7900-xtx',
      'apple-m1',
      'apple-m2-max',
      'apple-m3-pro',
      'apple-m4',
      'max-1100',
      'max-1550',
      'gaudi-2',
      'gaudi-3',
      'tpu-v2',
      'tpu-v3',
      'tpu-v4',
      'tpu-v5e',
      'tpu-v5p',
      'tpu-v6e',
    ])
      expect(names).toContain(name);
  });

  it.each(names)('%s keeps to the schema, and the quick reader agrees with it', async (name) => {
    const checked = deviceProfile.parse(raw(name));
    expect(checked.name).toBe(name);
    expect(await loadDeviceProfile(name)).toEqual(checked);
  });

  it.each(names)('%s says where every figure is from', async (name) => {
    const { sources, memory, peakFlops, ...profile } = await loadDeviceProfile(name);
    const figures = {
      'memory.totalBytes': memory.totalBytes,
      'memory.usableBytes': memory.usableBytes,
      bandwidthBytesPerSecond: profile.bandwidthBytesPerSecond,
      peakFlops: Object.keys(peakFlops).length || null,
      multiprocessors: profile.multiprocessors,
      tensorCores: profile.tensorCores,
      interconnect: profile.interconnect,
      powerWatts: profile.powerWatts,
    };
    for (const [field, figure] of Object.entries(figures)) if (figure !== null) expect(sources[field], field).toBeTruthy();
  });

  it('has no figure that is off by orders of magnitude', async () => {
    for (const { name, kind, bandwidthBytesPerSecond, peakFlops, memory } of await listDeviceProfiles()) {
      if (kind === 'cpu') continue;
      if (bandwidthBytesPerSecond !== null) expect(bandwidthBytesPerSecond, name).toSatisfy((rate: number) => rate > 5e10 && rate < 1e13);
      for (const rate of Object.values(peakFlops)) expect(rate, name).toSatisfy((flops: number) => flops > 1e11 && flops < 1e16);
      if (peakFlops.bf16 && peakFlops.fp32) expect(peakFlops.bf16, name).toBeGreaterThanOrEqual(peakFlops.fp32);
      if (memory.totalBytes !== null) expect(memory.totalBytes, name).toSatisfy((bytes: number) => bytes > 4 * GIB && bytes < 512 * GIB);
      if (memory.usableBytes !== null) expect(memory.usableBytes / memory.totalBytes!, name).toBeGreaterThan(0.93);
    }
  });

  it('knows what one process really gets on cards whose logs were read', async () => {
    const usable = async (name: string) => (await loadDeviceProfile(name)).memory.usableBytes;
    expect(await usable('rtx-3060')).toBe(12622168064);
    expect(await usable('rtx-4060')).toBe(8318222336);
    expect(await usable('a100-40gb')).toBe(42474471424);
    expect(await usable('rtx-3090')).toBe(24259 * MIB);
  });

  it('assumes of a sibling what a card keeps back only where that was measured', async () => {
    for (const { name, sources } of await listDeviceProfiles()) {
      const sibling = sources['memory.usableBytes']?.match(/^assumed: .* that (\S+) keeps back/)?.[1];
      if (!sibling) continue;
      const known = await loadDeviceProfile(sibling);
      expect(known.memory.usableBytes, name).not.toBeNull();
      expect(known.sources['memory.usableBytes'], name).not.toMatch(/^assumed/);
    }
  });

  it('gives no alias to two profiles, but for cards that drivers name alike', async () => {
    const seen = new Map<string, string[]>();
    for (const { name, aliases } of await listDeviceProfiles()) {
      for (const alias of new Set([name, ...aliases].map((text) => text.toLowerCase().replace(/[^a-z0-9]/g, ''))))
        seen.set(alias, [...(seen.get(alias) ?? []), name]);
    }
    const shared = [...seen].filter(([, owners]) => owners.length > 1);
    expect(shared.map(([alias, owners]) => [alias, owners.sort()])).toEqual([
      ['nvidiageforcertx3060', ['rtx-3060', 'rtx-3060-8gb']],
      ['nvidiageforcertx3080', ['rtx-3080', 'rtx-3080-12gb']],
      ['nvidiageforcertx4060ti', ['rtx-4060-ti', 'rtx-4060-ti-16gb']],
      ['nvidiageforcertx5060ti', ['rtx-5060-ti', 'rtx-5060-ti-16gb']],
    ]);
  });
});

describe('a name', () => {
  it.each([
    ['RTX3090', 'rtx-3090'],
    ['NVIDIA GeForce RTX 3090', 'rtx-3090'],
    ['rtx_3090', 'rtx-3090'],
    ['Rtx 3090 ti', 'rtx-3090-ti'],
    ['A100', 'a100-40gb'],
    ['NVIDIA A100-SXM4-80GB', 'a100-80gb'],
    ['H100', 'h100-80gb'],
    ['nvidia geforce rtx 3060', 'rtx-3060'],
    ['Apple M2 Max', 'apple-m2-max'],
    ['tpuv4', 'tpu-v4'],
  ])('%s means %s', async (name, expected) => {
    expect((await loadDeviceProfile(name)).name).toBe(expected);
  });

  it.each([
    ['rtx-3091', 'rtx-3090'],
    ['h10', 'h100'],
    ['a100-60gb', 'a100-80gb'],
  ])('%s is refused with near ones', async (name, near) => {
    await expect(loadDeviceProfile(name)).rejects.toMatchObject({
      code: 'UNKNOWN_DEVICE',
      exitCode: 2,
      hint: expect.stringContaining(near),
    });
  });

  it.each(['', '  ', '../../package', '/etc/passwd', 'rtx-3090/../rtx-3090', '$(id)', 'x'.repeat(5000)])(
    '"%.20s" is refused, never a path',
    async (name) => {
      await expect(loadDeviceProfile(name)).rejects.toMatchObject({ code: 'UNKNOWN_DEVICE', exitCode: 2 });
    },
  );
});

describe('matchDeviceProfile', () => {
  it('tells cards of one name apart by memory', async () => {
    expect((await matchDeviceProfile('NVIDIA GeForce RTX 3060', 12288 * MIB))?.name).toBe('rtx-3060');
    expect((await matchDeviceProfile('NVIDIA GeForce RTX 3060', 8192 * MIB))?.name).toBe('rtx-3060-8gb');
    expect((await matchDeviceProfile('NVIDIA GeForce RTX 4060 Ti', 16380 * MIB))?.name).toBe('rtx-4060-ti-16gb');
  });

  it('knows the card behind a MIG instance, and no laptop part for its desktop namesake', async () => {
    expect((await matchDeviceProfile('NVIDIA H100 80GB HBM3 MIG 1g.10gb', 9984 * MIB))?.name).toBe('h100-80gb');
    expect(await matchDeviceProfile('NVIDIA GeForce RTX 3060 Laptop GPU', 6144 * MIB)).toBeNull();
    expect(await matchDeviceProfile('Graphics Device', null)).toBeNull();
  });
});

describe("a profile of the user's own", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'batchfit-devices-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const write = (content: string) => {
    const path = join(folder, 'card.yaml');
    writeFileSync(path, content);
    return path;
  };

  it('is read from a file', async () => {
    const path = write('name: prototype\nkind: cuda\nmemory: { totalBytes: 34359738368 }\n');
    expect(await loadDeviceProfile(path)).toMatchObject({
      name: 'prototype',
      kind: 'cuda',
      memory: { totalBytes: 32 * GIB, usableBytes: null },
    });
  });

  it.each([
    ['kind: gpu\nname: x\n', 'kind'],
    ['name: x\nkind: cuda\nmemori: {}\n', 'memori'],
    ['name: x\nkind: cuda\nmemory: { totalBytes: 10, usableBytes: 20 }\n', 'memory.usableBytes'],
    ['name: x\nkind: cuda\nbandwidthBytesPerSecond: -1\n', 'bandwidthBytesPerSecond'],
    ['just text', 'the profile'],
    ['a: [1', 'not YAML'],
    ['', 'the profile'],
  ])('is refused with the field when it says %j', async (content, field) => {
    const path = write(content);
    await expect(loadDeviceProfile(path)).rejects.toMatchObject({
      code: 'BAD_DEVICE',
      exitCode: 2,
      message: expect.stringContaining(field),
    });
  });

  it('is refused when it is not there', async () => {
    await expect(loadDeviceProfile(join(folder, 'none.yaml'))).rejects.toMatchObject({ code: 'UNREADABLE_DEVICE', exitCode: 2 });
  });
});
