import { describe, expect, it } from 'vitest';
import { detectMachine } from '../../src/machine/detect.js';
import type { Device } from '../../src/machine/machine.js';
import { fixture, meminfo, nvidiaSmi, recorded, type StandIn, standIn } from './stand-in.js';

const MIB = 2 ** 20;

const detect = (given: StandIn) => detectMachine(standIn(given));
const byId = (devices: Device[], id: string) => devices.find((device) => device.id === id)!;

describe('one card', () => {
  it('is read with its memory, capability, driver and the processes on it', async () => {
    const { devices, tools, warnings } = await detect({ tools: { 'nvidia-smi': nvidiaSmi(recorded('rtx-4080-super-595', ['apps'])) } });
    expect(devices.map(({ id }) => id)).toEqual(['cuda:0', 'cpu']);
    const card = byId(devices, 'cuda:0');
    expect(card).toMatchObject({
      kind: 'cuda',
      name: 'NVIDIA GeForce RTX 4080 SUPER',
      computeCapability: '8.9',
      driver: '595.71.05',
      unified: false,
      visible: true,
    });
    expect(card.memory).toMatchObject({ totalBytes: 16376 * MIB, source: 'measured', readFrom: 'nvidia-smi' });
    expect(card.memory.freeBytes! + card.memory.usedByOthersBytes!).toBeLessThan(16376 * MIB);
    expect(card.processes.map(({ name, usedBytes }) => [name, usedBytes])).toContainEqual(['ffmpeg', 503 * MIB]);
    expect(tools.find(({ name }) => name === 'nvidia-smi')?.status).toBe('ok');
    expect(warnings).toEqual([]);
  });

  it('keeps processes whose memory Windows does not tell, and warns that the driver spills', async () => {
    const recording = recorded('rtx-2080-super-windows-591', ['apps']);
    const { devices, warnings } = await detect({ platform: 'win32', tools: { 'nvidia-smi': nvidiaSmi(recording) } });
    const [card] = devices;
    expect(card?.processes.length).toBeGreaterThan(0);
    expect(card?.processes[0]).toMatchObject({ pid: 12444, usedBytes: null });
    expect(warnings.map(({ code }) => code)).toEqual(['SPILLS_TO_HOST']);
  });

  it('warns of the spill under WSL2 too, where the tool may lie outside the search path', async () => {
    const { devices, warnings } = await detect({
      files: { '/proc/version': 'Linux version 5.15.167.4-microsoft-standard-WSL2' },
      tools: { '/usr/lib/wsl/lib/nvidia-smi': nvidiaSmi(recorded('rtx-4080-super-595')) },
    });
    expect(devices[0]?.id).toBe('cuda:0');
    expect(warnings.map(({ code }) => code)).toEqual(['SPILLS_TO_HOST']);
  });

  it('is read from an old driver that refuses fields, one after the other', async () => {
    const system = standIn({ tools: { 'nvidia-smi': nvidiaSmi(recorded('rtx-2080-440')) } });
    const { devices } = await detectMachine(system);
    expect(devices[0]).toMatchObject({ name: 'GeForce RTX 2080', driver: '440.64', computeCapability: null, mig: null });
    expect(devices[0]?.memory).toMatchObject({ totalBytes: 7979 * MIB, freeBytes: null });
    const queries = system.calls.filter((call) => call.includes('--query-gpu='));
    expect(queries).toHaveLength(7);
    expect(queries.at(-1)).toContain('--query-gpu=index,uuid,name,memory.total,driver_version ');
  });
});

describe('memory shared with the host', () => {
  const MEMORY = { '/proc/meminfo': meminfo(127600748 * 1024, 118566368 * 1024) };

  it.each([
    ['gb10-580', 'NVIDIA GB10'],
    ['jetson-orin', 'Orin (nvgpu)'],
  ])('is taken from the host where nvidia-smi prints [N/A]: %s', async (name, card) => {
    const { devices } = await detect({ files: MEMORY, tools: { 'nvidia-smi': nvidiaSmi(recorded(name)) } });
    expect(devices[0]).toMatchObject({ name: card, unified: true, visible: true, note: null });
    expect(devices[0]?.memory).toEqual({
      totalBytes: 127600748 * 1024,
      freeBytes: 118566368 * 1024,
      usedByOthersBytes: null,
      source: 'estimated',
      readFrom: '/proc/meminfo',
    });
  });

  it('is found on a Jetson without nvidia-smi by its device tree', async () => {
    const files = { ...MEMORY, '/proc/device-tree/model': 'NVIDIA Jetson AGX Orin Developer Kit\0' };
    const { devices, warnings, tools } = await detect({ files, arch: 'arm64' });
    expect(devices[0]).toMatchObject({
      id: 'cuda:0',
      name: 'NVIDIA Jetson AGX Orin Developer Kit',
      computeCapability: '8.7',
      unified: true,
    });
    expect(warnings.map(({ code }) => code)).toEqual(['UNIFIED_MEMORY']);
    expect(tools[0]).toMatchObject({ name: 'nvidia-smi', status: 'missing' });
  });
});

describe('MIG', () => {
  it('lists instances with UUID from -L and memory from -q -x; the card itself is not for programs', async () => {
    const { devices } = await detect({ tools: { 'nvidia-smi': nvidiaSmi(recorded('a100-mig-535', ['list', 'xml'])) } });
    expect(devices.map(({ id }) => id)).toEqual(['cuda:0', 'cuda:0/mig:0', 'cuda:0/mig:1', 'cuda:0/mig:2', 'cuda:0/mig:3', 'cpu']);
    expect(byId(devices, 'cuda:0')).toMatchObject({
      visible: false,
      note: 'in MIG mode: programs use its instances',
      mig: { enabled: true },
    });
    const instance = byId(devices, 'cuda:0/mig:3');
    expect(instance).toMatchObject({
      name: 'NVIDIA A100-SXM4-80GB MIG 1g.20gb',
      uuid: 'MIG-930574a9-d43a-5d2b-95da-3e68384c8d6b',
      visible: true,
    });
    expect(instance.mig).toEqual({
      enabled: true,
      profile: '1g.20gb',
      parent: 'cuda:0',
      gpuInstance: 6,
      computeInstance: 0,
      multiprocessors: 14,
    });
    expect(instance.memory).toMatchObject({ totalBytes: 19968 * MIB, freeBytes: 19955 * MIB, usedByOthersBytes: 12 * MIB });
  });

  it('falls back to the table of plain nvidia-smi where the XML has no instances', async () => {
    const { devices } = await detect({ tools: { 'nvidia-smi': nvidiaSmi(recorded('h100-mig-590', ['list', 'table'])) } });
    const sizes = devices
      .slice(1, -1)
      .map(({ mig, memory }) => [mig?.profile, mig?.multiprocessors, memory.totalBytes! / MIB, memory.usedByOthersBytes! / MIB]);
    expect(sizes).toEqual([
      ['3g.40gb', 60, 40448, 11091],
      ['2g.20gb', 32, 20096, 17],
      ['1g.10gb', 16, 9984, 9],
      ['1g.10gb', 16, 9984, 9],
    ]);
  });

  it('tells compute instances that share a GPU instance apart', async () => {
    const { devices } = await detect({ tools: { 'nvidia-smi': nvidiaSmi(recorded('h200-mig-590', ['list', 'table'])) } });
    const instances = devices.slice(1, 3).map(({ mig }) => [mig?.profile, mig?.gpuInstance, mig?.computeInstance]);
    expect(instances).toEqual([
      ['1c.3g.71gb', 2, 0],
      ['2c.3g.71gb', 2, 1],
    ]);
  });

  it('says that nothing can run on a card in MIG mode without an instance', async () => {
    const list = 'GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-000000000000)\n';
    const { devices } = await detect({ tools: { 'nvidia-smi': nvidiaSmi({ ...recorded('h100-mig-590'), list }) } });
    expect(devices).toHaveLength(2);
    expect(devices[0]).toMatchObject({ visible: false, note: 'in MIG mode without an instance: nothing can run on it' });
  });

  it('keeps an instance whose memory nobody tells', async () => {
    const { devices } = await detect({ tools: { 'nvidia-smi': nvidiaSmi(recorded('h100-mig-590', ['list'])) } });
    expect(byId(devices, 'cuda:0/mig:0')).toMatchObject({
      visible: true,
      note: 'nvidia-smi does not tell its memory',
      memory: { totalBytes: null },
    });
  });
});

describe('a tool that fails', () => {
  const failing = (file: string, exitCode: number) =>
    detect({ tools: { 'nvidia-smi': () => ({ stdout: fixture(`nvidia/${file}.txt`), exitCode }) } });
  const state = async (machine: ReturnType<typeof detect>) => {
    const { tools, warnings, devices } = await machine;
    expect(devices.map(({ id }) => id)).toEqual(['cpu']);
    return [tools[0]?.status, tools[0]?.reason, warnings.map(({ code }) => code)];
  };

  it('keeps its own words, and detection goes on', async () => {
    expect(await state(failing('version-mismatch', 18))).toEqual([
      'failed',
      'Failed to initialize NVML: Driver/library version mismatch; NVML library version: 535.161',
      ['NVIDIA_SMI_FAILED'],
    ]);
    expect(await state(failing('no-driver', 9))).toEqual([
      'failed',
      expect.stringContaining("couldn't communicate with the NVIDIA driver"),
      ['NVIDIA_SMI_FAILED'],
    ]);
  });

  it('is not the same as a machine without a device', async () => {
    expect(await state(failing('no-devices', 6))).toEqual(['no-device', 'No devices were found', []]);
    expect(await state(failing('no-supported-gpus', 255))).toEqual(['no-device', expect.any(String), []]);
  });

  it('hints at the cure of a mismatch between driver and library', async () => {
    const { warnings } = await failing('version-mismatch', 18);
    expect(warnings[0]?.hint).toContain('reboot');
  });

  it('may hang, refuse to start or print nothing', async () => {
    const hang = detect({ tools: { 'nvidia-smi': () => ({ error: 'timeout', exitCode: null }) } });
    expect(await state(hang)).toEqual(['timeout', 'it did not answer within 10 s', ['NVIDIA_SMI_TIMEOUT']]);
    const refused = detect({ tools: { 'nvidia-smi': () => ({ error: 'unstartable', exitCode: null }) } });
    expect(await state(refused)).toEqual(['failed', 'the system refuses to run it', ['NVIDIA_SMI_FAILED']]);
    expect(await state(detect({ tools: { 'nvidia-smi': () => ({}) } }))).toEqual([
      'failed',
      expect.stringContaining('printed nothing'),
      ['NVIDIA_SMI_FAILED'],
    ]);
    const garbage = detect({ tools: { 'nvidia-smi': () => ({ stdout: '\u0000\u0001binary, rubbish\n' }) } });
    expect(await state(garbage)).toEqual(['failed', expect.stringContaining('rubbish'), ['NVIDIA_SMI_FAILED']]);
  });

  it('is missing quietly on a machine without NVIDIA hardware, and with a word where there is some', async () => {
    expect(await state(detect({}))).toEqual(['missing', 'no such program', []]);
    const slot = '/sys/bus/pci/devices/0000:01:00.0';
    expect(await state(detect({ files: { [`${slot}/vendor`]: '0x10de\n', [`${slot}/class`]: '0x030000\n' } }))).toEqual([
      'missing',
      'no such program',
      ['NVIDIA_SMI_MISSING'],
    ]);
    expect(await state(detect({ files: { [`${slot}/vendor`]: '0x10de\n', [`${slot}/class`]: '0x040300\n' } }))).toEqual([
      'missing',
      'no such program',
      [],
    ]);
  });
});
