/** NVIDIA Jetson modules: a GPU that shares the host's memory and, before JetPack 6, has no nvidia-smi. */
import type { Warning } from '../errors.js';
import type { Device, HostMemory } from './machine.js';
import type { System } from './system.js';

/** Compute capability by SoC (NVIDIA, "CUDA GPU compute capability"). */
const CAPABILITIES: Array<[RegExp, string]> = [
  [/Thor/i, '11.0'],
  [/Orin/i, '8.7'],
  [/Xavier/i, '7.2'],
  [/TX2/i, '6.2'],
  [/TX1|Nano/i, '5.3'],
];

export const JETSON_HINT: Warning = {
  code: 'UNIFIED_MEMORY',
  message: 'the GPU shares the host memory, so what the host uses is not there for training',
  hint: 'close other programs, or say what may be used with --memory',
};

/** The module's GPU, read from the device tree; null on any other machine. */
export async function readJetson(system: System, host: HostMemory): Promise<Device | null> {
  const model = (await system.readFile('/proc/device-tree/model'))?.replaceAll('\0', '').trim() ?? '';
  if (!/Jetson|NVIDIA.*(Orin|Xavier|Thor)/i.test(model)) return null;
  return {
    id: 'cuda:0',
    kind: 'cuda',
    name: model,
    uuid: null,
    memory: {
      totalBytes: host.totalBytes,
      freeBytes: host.availableBytes,
      usedByOthersBytes: null,
      source: 'estimated',
      readFrom: '/proc/meminfo',
    },
    computeCapability: CAPABILITIES.find(([pattern]) => pattern.test(model))?.[1] ?? null,
    driver: null,
    mig: null,
    unified: true,
    visible: true,
    note: null,
    processes: [],
  };
}
