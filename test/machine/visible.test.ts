import { describe, expect, it } from 'vitest';
import { detectMachine } from '../../src/machine/detect.js';
import { nvidiaSmi, recorded, standIn } from './stand-in.js';

/** Two cards of one model and a third of another, as columns of nvidia-smi (synthetic). */
const THREE = {
  query: `index, uuid, name, memory.total [MiB], memory.free [MiB], memory.used [MiB]
0, GPU-aaaa1111-0000-0000-0000-000000000000, NVIDIA L4, 23034 MiB, 22693 MiB, 1 MiB
1, GPU-aaaa2222-0000-0000-0000-000000000000, NVIDIA L4, 23034 MiB, 22693 MiB, 1 MiB
2, GPU-bbbb3333-0000-0000-0000-000000000000, NVIDIA L40S, 46068 MiB, 45459 MiB, 0 MiB
`,
};

async function visible(env: Record<string, string>, recording = nvidiaSmi(THREE)): Promise<string[]> {
  const { devices } = await detectMachine(standIn({ env, tools: { 'nvidia-smi': recording } }));
  return devices.filter((device) => device.visible && device.kind === 'cuda').map(({ id }) => id);
}

describe('CUDA_VISIBLE_DEVICES', () => {
  it.each([
    ['1', ['cuda:1']],
    ['2,0', ['cuda:0', 'cuda:2']],
    [' 0 , 2 ', ['cuda:0', 'cuda:2']],
    ['GPU-bbbb', ['cuda:2']],
    ['gpu-AAAA2222', ['cuda:1']],
    ['', []],
    ['-1', []],
    ['void', []],
    ['none', []],
    ['NoDevFiles', []],
  ])('"%s" shows %j', async (value, expected) => {
    expect(await visible({ CUDA_VISIBLE_DEVICES: value })).toEqual(expected);
  });

  it('ends at the first entry that names no device', async () => {
    expect(await visible({ CUDA_VISIBLE_DEVICES: '0,-1,1' })).toEqual(['cuda:0']);
    expect(await visible({ CUDA_VISIBLE_DEVICES: '0,7,1' })).toEqual(['cuda:0']);
  });

  it('takes no UUID prefix that two cards share', async () => {
    expect(await visible({ CUDA_VISIBLE_DEVICES: 'GPU-aaaa' })).toEqual([]);
  });

  it('says what hides a device', async () => {
    const { devices } = await detectMachine(standIn({ env: { CUDA_VISIBLE_DEVICES: '1' }, tools: { 'nvidia-smi': nvidiaSmi(THREE) } }));
    expect(devices[0]?.note).toBe('hidden by CUDA_VISIBLE_DEVICES=1');
  });

  it('counts in another order than nvidia-smi on a mixed machine, which is worth a warning', async () => {
    const warnings = async (env: Record<string, string>) =>
      (await detectMachine(standIn({ env, tools: { 'nvidia-smi': nvidiaSmi(THREE) } }))).warnings;
    expect((await warnings({ CUDA_VISIBLE_DEVICES: '0' })).map(({ code }) => code)).toEqual(['CUDA_ORDER']);
    expect(await warnings({ CUDA_VISIBLE_DEVICES: '0', CUDA_DEVICE_ORDER: 'PCI_BUS_ID' })).toEqual([]);
    expect(await warnings({ CUDA_VISIBLE_DEVICES: 'GPU-bbbb3333' })).toEqual([]);
  });
});

describe('CUDA_VISIBLE_DEVICES with MIG', () => {
  const a100 = nvidiaSmi(recorded('a100-mig-535', ['list', 'xml']));

  it.each([
    ['MIG-f00d722c-f4e1-52c9-aa31-750441ae1bfe', ['cuda:0/mig:2']],
    ['MIG-f00d', ['cuda:0/mig:2']],
    ['MIG-GPU-513536b6-7d19-9063-b049-1e69664bb298/4/0', ['cuda:0/mig:1']],
    ['0', ['cuda:0/mig:0']],
    ['GPU-513536b6', ['cuda:0/mig:0']],
    ['MIG-00000000', []],
  ])('%s shows %j', async (value, expected) => {
    expect(await visible({ CUDA_VISIBLE_DEVICES: value }, a100)).toEqual(expected);
  });
});

describe('NVIDIA_VISIBLE_DEVICES', () => {
  const all = ['cuda:0', 'cuda:1', 'cuda:2'];

  it.each([
    ['all', all],
    ['', all],
    ['void', all],
    ['none', []],
    ['1', ['cuda:1']],
    ['GPU-bbbb3333', ['cuda:2']],
    ['4,5,6', all],
    ['9', all],
  ])('"%s" shows %j: the container runtime has done its work already', async (value, expected) => {
    expect(await visible({ NVIDIA_VISIBLE_DEVICES: value })).toEqual(expected);
  });

  it('stands back behind CUDA_VISIBLE_DEVICES', async () => {
    expect(await visible({ NVIDIA_VISIBLE_DEVICES: '1', CUDA_VISIBLE_DEVICES: '0' })).toEqual(['cuda:0']);
  });
});
