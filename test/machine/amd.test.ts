import { describe, expect, it } from 'vitest';
import { detectMachine } from '../../src/machine/detect.js';
import { fixture, type StandIn, standIn, type Tool } from './stand-in.js';

const MIB = 2 ** 20;
const detect = (given: StandIn) => detectMachine(standIn(given));
const rocm = async (given: StandIn) => (await detect(given)).devices.filter(({ kind }) => kind === 'rocm');

const rocmSmi =
  (name: string): Tool =>
  () => ({ stdout: fixture(`amd/rocm-smi-${name}.json`) });
const amdSmi =
  (identity: string, usage: string): Tool =>
  ([verb]) => ({ stdout: verb === 'static' ? identity : usage });
const mi300x = JSON.parse(fixture('amd/amd-smi-mi300x.synthetic.json'));

/** A KFD topology: node 0 is the CPU, node 1 a GPU (synthetic; the keys and values are those of the kernel). */
const kernel = (properties: string, bankBytes: number, vram: { total: number; used: number; gttUsed?: number; name?: string }) => ({
  '/dev/kfd': '',
  '/sys/class/kfd/kfd/topology/nodes/0/properties': 'cpu_cores_count 16\nsimd_count 0\ngfx_target_version 0\n',
  '/sys/class/kfd/kfd/topology/nodes/1/properties': `cpu_cores_count 0\nsimd_count 1216\n${properties}\ndrm_render_minor 128\n`,
  '/sys/class/kfd/kfd/topology/nodes/1/mem_banks/0/properties': `heap_type 1\nsize_in_bytes ${bankBytes}\nflags 0\n`,
  '/sys/class/drm/renderD128/device/mem_info_vram_total': `${vram.total}\n`,
  '/sys/class/drm/renderD128/device/mem_info_vram_used': `${vram.used}\n`,
  '/sys/class/drm/renderD128/device/mem_info_gtt_used': `${vram.gttUsed ?? 0}\n`,
  ...(vram.name ? { '/sys/class/drm/renderD128/device/product_name': `${vram.name}\n` } : {}),
});

describe('rocm-smi', () => {
  it('names four MI100 with memory and unique id', async () => {
    const devices = await rocm({ tools: { 'rocm-smi': rocmSmi('mi100_rocm602') } });
    expect(devices.map(({ id, name, uuid }) => [id, name, uuid])).toEqual([
      ['rocm:0', 'Arcturus GL-XL [Instinct MI100]', 'GPU-79ccd55167a2124a'],
      ['rocm:1', 'Arcturus GL-XL [Instinct MI100]', 'GPU-04edfb117a17a07d'],
      ['rocm:2', 'Arcturus GL-XL [Instinct MI100]', 'GPU-d4a9ec48d03d261d'],
      ['rocm:3', 'Arcturus GL-XL [Instinct MI100]', 'GPU-1b9dd972253c3736'],
    ]);
    expect(devices[0]?.memory).toEqual({
      totalBytes: 34342961152,
      freeBytes: 34342961152 - 6750208,
      usedByOthersBytes: 6750208,
      source: 'measured',
      readFrom: 'rocm-smi',
    });
  });

  it('is read in its new wording and in one from before names were right', async () => {
    const [newer] = await rocm({ tools: { 'rocm-smi': rocmSmi('rx6700xt_rocm612') } });
    expect(newer).toMatchObject({
      name: 'Navi 22 [Radeon RX 6700/6700 XT / 6800M]',
      computeCapability: 'gfx1031',
      driver: '6.3.6',
      uuid: null,
    });
    const [older] = await rocm({ tools: { 'rocm-smi': rocmSmi('rx6700xt_rocm430') } });
    expect(older).toMatchObject({ name: 'AMD GPU', computeCapability: null, memory: { totalBytes: 12868124672 } });
  });

  it('is found beside a warning that it prints before the JSON', async () => {
    const noisy: Tool = () => ({
      stdout: `WARNING: AMD GPU device(s) is/are in a low-power state.\n${fixture('amd/rocm-smi-rx7900xt.json')}`,
    });
    expect((await rocm({ tools: { 'rocm-smi': noisy } }))[0]).toMatchObject({ name: 'Radeon RX 7900 XT', computeCapability: 'gfx1100' });
  });
});

describe('amd-smi', () => {
  it('goes before rocm-smi, as a list', async () => {
    const tools = { 'amd-smi': amdSmi(JSON.stringify(mi300x.static), JSON.stringify(mi300x.metric)), 'rocm-smi': rocmSmi('rx7900xt') };
    const { devices, tools: states } = await detect({ tools });
    expect(devices[0]).toMatchObject({
      name: 'AMD Instinct MI300X',
      uuid: 'GPU-6f1f0a2b3c4d5e6f',
      computeCapability: 'gfx942',
      driver: '6.19.14',
    });
    expect(devices[0]?.memory).toMatchObject({ totalBytes: 196592 * MIB, usedByOthersBytes: 17153 * MIB, readFrom: 'amd-smi' });
    expect(states[1]).toEqual({ name: 'amd-smi', status: 'ok', reason: null });
  });

  it('may wrap the list in gpu_data and leave memory out', async () => {
    const [device] = await rocm({ tools: { 'amd-smi': amdSmi(fixture('amd/amd-smi-rx7800xt.static.json'), '') } });
    expect(device).toMatchObject({
      name: 'AMD Radeon RX 7800 XT',
      computeCapability: 'gfx1101',
      memory: { totalBytes: null, freeBytes: null },
    });
  });
});

describe('the kernel', () => {
  it('is enough without any tool', async () => {
    const files = kernel('gfx_target_version 90402\nunique_id 8007129843299606127', 206141652992, {
      total: 206141652992,
      used: 297000960,
      name: 'AMD Instinct MI300X OAM',
    });
    const [device] = await rocm({ files });
    expect(device).toMatchObject({
      name: 'AMD Instinct MI300X OAM',
      computeCapability: 'gfx942',
      uuid: 'GPU-6f1f0a2b3c4d5e6f',
      visible: true,
      unified: false,
    });
    expect(device?.memory).toMatchObject({ totalBytes: 206141652992, usedByOthersBytes: 297000960, readFrom: 'sysfs' });
  });

  it.each([
    ['90010', 'gfx90a'],
    ['110001', 'gfx1101'],
    ['90006', 'gfx906'],
  ])('writes %s for %s', async (version, gfx) => {
    const [device] = await rocm({ files: kernel(`gfx_target_version ${version}`, 17163091968, { total: 17163091968, used: 0 }) });
    expect(device?.computeCapability).toBe(gfx);
    expect(device?.name).toBe(`AMD ${gfx}`);
  });

  it('knows what an APU may use, where the tools see its carve-out (ROCm/rocm-systems pull request 8475)', async () => {
    const carveOut = JSON.stringify({
      card0: { 'VRAM Total Memory (B)': '536870912', 'VRAM Total Used Memory (B)': '158171136', 'Card Series': 'AMD Radeon Graphics' },
    });
    const files = kernel('gfx_target_version 110501', 118111600640, { total: 536870912, used: 158171136, gttUsed: 4294967296 });
    const [device] = await rocm({ files, tools: { 'rocm-smi': () => ({ stdout: carveOut }) } });
    expect(device).toMatchObject({ unified: true, name: 'AMD Radeon Graphics', computeCapability: 'gfx1151' });
    expect(device?.memory).toMatchObject({ totalBytes: 118111600640, usedByOthersBytes: 158171136 + 4294967296, readFrom: 'sysfs' });
  });

  it('does not help programs where /dev/kfd is missing', async () => {
    const { '/dev/kfd': _, ...files } = kernel('gfx_target_version 90402', 206141652992, { total: 206141652992, used: 0 });
    const [device] = await rocm({ files });
    expect(device).toMatchObject({ visible: false, note: '/dev/kfd is not here, so ROCm cannot reach it' });
  });
});

describe('a tool that fails', () => {
  const broken: Tool = () => ({ stderr: 'ERROR:root:Driver not initialized (amdgpu not found in modules)\n', exitCode: 1 });

  it('has not failed where there is nothing to find', async () => {
    const { tools, warnings } = await detect({ tools: { 'rocm-smi': broken } });
    expect(tools[1]).toMatchObject({ name: 'rocm-smi', status: 'no-device' });
    expect(warnings).toEqual([]);
  });

  it('has failed where the kernel sees a card, which is then read from sysfs', async () => {
    const files = kernel('gfx_target_version 90402', 206141652992, { total: 206141652992, used: 0 });
    const { tools, warnings, devices } = await detect({ files, tools: { 'rocm-smi': broken } });
    expect(tools[1]).toMatchObject({ status: 'failed', reason: expect.stringContaining('Driver not initialized') });
    expect(warnings.map(({ code }) => code)).toEqual(['AMD_SMI_FAILED']);
    expect(devices[0]?.memory.readFrom).toBe('sysfs');
  });

  it('may hang', async () => {
    const { tools, warnings } = await detect({ tools: { 'amd-smi': () => ({ error: 'timeout', exitCode: null }) } });
    expect(tools[1]).toMatchObject({ name: 'amd-smi', status: 'timeout' });
    expect(warnings.map(({ code }) => code)).toEqual(['AMD_SMI_TIMEOUT']);
  });
});

describe('visible devices', () => {
  const shown = async (env: Record<string, string>) => {
    const devices = await rocm({ env, tools: { 'rocm-smi': rocmSmi('mi100_rocm602') } });
    return devices.filter(({ visible }) => visible).map(({ id }) => id);
  };

  it.each([
    [{ HIP_VISIBLE_DEVICES: '1' }, ['rocm:1']],
    [{ CUDA_VISIBLE_DEVICES: '1' }, ['rocm:1']],
    [{ HIP_VISIBLE_DEVICES: '0', CUDA_VISIBLE_DEVICES: '1' }, ['rocm:0']],
    [{ ROCR_VISIBLE_DEVICES: '1', HIP_VISIBLE_DEVICES: '0' }, ['rocm:1']],
    [{ ROCR_VISIBLE_DEVICES: 'GPU-79ccd55167a2124a' }, ['rocm:0']],
    [{ HIP_VISIBLE_DEVICES: '-1' }, []],
    [{ HIP_VISIBLE_DEVICES: '' }, []],
  ])('%j shows %j', async (env, expected) => {
    expect(await shown(env)).toEqual(expected);
  });
});
