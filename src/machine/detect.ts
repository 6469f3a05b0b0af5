/** What this computer has for training. */
import { readAmd } from './amd.js';
import { readApple } from './apple.js';
import { readHost } from './host.js';
import type { Device, Host, HostMemory, Machine } from './machine.js';
import { readNvidia } from './nvidia.js';
import { type System, thisSystem } from './system.js';

/** CPU, memory under container limits, every device, and how reading each vendor's went. Never throws over a broken tool. */
export async function detectMachine(system: System = thisSystem()): Promise<Machine> {
  const host = await readHost(system);
  const accelerators = await readAccelerators(system, host.memory);
  return { ...accelerators, host, devices: [...accelerators.devices, cpuDevice(host)] };
}

/** Devices beside the CPU; cheaper than a whole detection. */
export async function readAccelerators(system: System, memory: HostMemory): Promise<Omit<Machine, 'host'>> {
  const apple = await readApple(system, memory);
  if (apple) return { devices: [apple], tools: [], warnings: [] };
  const [nvidia, amd] = await Promise.all([readNvidia(system, memory), readAmd(system)]);
  return {
    devices: [...nvidia.devices, ...amd.devices],
    tools: [nvidia.tool, amd.tool],
    warnings: [...nvidia.warnings, ...amd.warnings],
  };
}

function cpuDevice({ cpu, memory }: Host): Device {
  return {
    id: 'cpu',
    kind: 'cpu',
    name: cpu.model,
    uuid: null,
    memory: {
      totalBytes: memory.limitBytes,
      freeBytes: memory.availableBytes,
      usedByOthersBytes: Math.max(0, memory.limitBytes - memory.availableBytes),
      source: 'measured',
      readFrom: memory.limitPath ?? 'host',
    },
    computeCapability: null,
    driver: null,
    mig: null,
    unified: false,
    visible: true,
    note: null,
    processes: [],
  };
}
