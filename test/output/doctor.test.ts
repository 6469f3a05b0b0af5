import { describe, expect, it } from 'vitest';
import { findProblems, renderDoctor } from '../../src/output/doctor.js';

type Found = Parameters<typeof findProblems>[0];

const HOST = {
  os: 'Linux',
  cpu: { model: 'CPU', physicalCores: 2, logicalCores: 4, usableCores: 4, coresLimitedBy: 'host' as const, quotaCores: null },
  memory: { totalBytes: 8e9, limitBytes: 8e9, availableBytes: 6e9, limitedBy: 'host' as const, limitPath: null },
};
const CUDA = {
  id: 'cuda:0',
  kind: 'cuda' as const,
  name: 'NVIDIA A10',
  uuid: null,
  memory: { totalBytes: 24e9, freeBytes: 24e9, usedByOthersBytes: 0, source: 'measured' as const, readFrom: 'nvidia-smi' },
  computeCapability: '8.6',
  driver: '550.54',
  mig: null,
  unified: false,
  visible: true,
  note: null,
  processes: [],
};
const WELL: Found = {
  node: { version: '20.20.2', required: '>=20.19', supported: true },
  programs: [{ name: 'python3', path: '/usr/bin/python3' }],
  dataFolder: { path: '/data/engines', writable: true },
  memoryCap: { cgroup: true, reason: null },
  host: HOST,
  devices: [CUDA],
  tools: [{ name: 'nvidia-smi', status: 'ok', reason: null }],
  engines: [{ name: 'torch', status: 'ready', version: '2.13.0', device: 'cuda', reason: null }],
};

describe('findProblems', () => {
  it('finds nothing where all is well, nor in a tool for devices that are not here', () => {
    expect(findProblems(WELL)).toEqual([]);
    expect(findProblems({ ...WELL, tools: [{ name: 'amd-smi', status: 'missing', reason: null }] })).toEqual([]);
  });

  it.each<[subject: string, change: Partial<Found>, message: string]>([
    ['node', { node: { version: '18.0.0', required: '>=20.19', supported: false } }, 'Node 18.0.0 is here, >=20.19 is needed'],
    ['data folder', { dataFolder: { path: '/data/engines', writable: false } }, '/data/engines cannot be written'],
    ['python3', { programs: [{ name: 'python3', path: null }] }, 'python3 is not on the PATH'],
    ['nvidia-smi', { tools: [{ name: 'nvidia-smi', status: 'timeout', reason: null }] }, 'nvidia-smi does not answer'],
    ['nvidia-smi', { tools: [{ name: 'nvidia-smi', status: 'failed', reason: 'no driver' }] }, 'nvidia-smi fails: no driver'],
    [
      'cuda:0',
      { devices: [{ ...CUDA, visible: false, note: 'CUDA_VISIBLE_DEVICES=' }] },
      'cuda:0 is hidden from programs: CUDA_VISIBLE_DEVICES=',
    ],
    ['tfjs', { engines: [{ name: 'tfjs', status: 'missing', version: null, device: null, reason: null }] }, 'the tfjs engine is missing'],
    [
      'torch',
      { engines: [{ name: 'torch', status: 'ready', version: '2', device: 'cpu', reason: null }] },
      'the torch engine runs on the CPU, though cuda:0 is here',
    ],
  ])('names %s in %j', (subject, change, message) => {
    const problems = findProblems({ ...WELL, ...change });
    expect(problems).toEqual([{ subject, message, fix: expect.stringMatching(/./) }]);
    expect(renderDoctor({ ...WELL, ...change, problems })).toContain(`to mend: 1\n- ${message}\n  ${problems[0]!.fix}`);
  });
});
