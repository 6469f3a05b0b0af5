/** Apple silicon: one GPU that shares the host's memory, of which Metal lets a process keep only a part resident. */
import { type Bytes, GIB, MIB } from '../units.js';
import type { Device, HostMemory } from './machine.js';
import { type System, TOOL_TIMEOUT_MS } from './system.js';

/** The GPU of an Apple silicon Mac, null on any other machine. */
export async function readApple(system: System, host: HostMemory): Promise<Device | null> {
  if (system.platform !== 'darwin') return null;
  const ask = (name: string) => system.run('sysctl', ['-n', name], TOOL_TIMEOUT_MS).then((run) => run.stdout.trim());
  const [brand, memsize, wired] = await Promise.all(['machdep.cpu.brand_string', 'hw.memsize', 'iogpu.wired_limit_mb'].map(ask));
  const name = brand || (await system.hardware()).cpuModel;
  if (!name.startsWith('Apple')) return null;
  const totalBytes = Number(memsize) > 0 ? Number(memsize) : host.totalBytes;
  const limit = Number(wired) > 0 ? Number(wired) * MIB : metalWorkingSet(totalBytes);
  return {
    id: 'mps',
    kind: 'mps',
    name,
    uuid: null,
    memory: {
      totalBytes,
      freeBytes: Math.min(limit, host.availableBytes),
      usedByOthersBytes: null,
      source: 'estimated',
      readFrom: 'sysctl',
    },
    computeCapability: null,
    driver: null,
    mig: null,
    unified: true,
    visible: true,
    note: null,
    processes: [],
  };
}

/**
 * Metal's recommendedMaxWorkingSetSize by RAM, as llama.cpp logs print it: 10.67 GiB of 16, 48 of 64, 96 of 128. Newer
 * systems allow up to 78 %; the smaller share is safe on all of them.
 */
export function metalWorkingSet(totalBytes: Bytes): Bytes {
  return Math.floor(totalBytes < 36 * GIB ? (totalBytes / 3) * 2 : (totalBytes / 4) * 3);
}
