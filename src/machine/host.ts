/** The computer itself: cores and memory as a process here can really use them. */
import { KIB } from '../units.js';
import { cpuQuotas, memoryLimits } from './cgroup.js';
import type { CoreLimiter, Cpu, Host, HostMemory } from './machine.js';
import type { System } from './system.js';

/** CPU, memory and operating system, under affinity and cgroup limits. */
export async function readHost(system: System): Promise<Host> {
  const [hardware, memory] = await Promise.all([system.hardware(), readMemory(system)]);
  const cpu = await readCpu(system, hardware.cpuModel, hardware.physicalCores);
  return { os: hardware.os || system.runtime().os, cpu, memory };
}

/** RAM with the tightest of the host's size and every cgroup around this process, or what the runtime itself read. */
export async function readMemory(system: System): Promise<HostMemory> {
  const { totalMemory, freeMemory, constrainedMemory } = system.runtime();
  const meminfo = parseMeminfo((await system.readFile('/proc/meminfo')) ?? '');
  const totalBytes = meminfo.total ?? totalMemory;
  const freeBytes = meminfo.available ?? (system.platform === 'linux' ? freeMemory : (await system.hardware()).availableMemory);
  const seen = await memoryLimits(system);
  const limits = seen ?? [];
  // Of equal limits the one whose own file says so goes before what a child's statistics repeat.
  const [tightest] = limits.toSorted(
    (a, b) => a.limitBytes - b.limitBytes || Number(a.availableBytes === null) - Number(b.availableBytes === null),
  );
  const availableBytes = Math.min(freeBytes, ...limits.map((limit) => limit.availableBytes ?? limit.limitBytes));
  // Node takes cgroup v1's soft limits for hard ones, so it is asked only where the cgroups cannot be.
  if (seen === null && constrainedMemory !== null && constrainedMemory < totalBytes) {
    const available = Math.min(availableBytes, constrainedMemory);
    return { totalBytes, limitBytes: constrainedMemory, availableBytes: available, limitedBy: 'runtime', limitPath: null };
  }
  if (tightest && tightest.limitBytes < totalBytes) {
    return { totalBytes, limitBytes: tightest.limitBytes, availableBytes, limitedBy: tightest.version, limitPath: tightest.path };
  }
  return { totalBytes, limitBytes: totalBytes, availableBytes, limitedBy: 'host', limitPath: null };
}

async function readCpu(system: System, model: string, physicalCores: number): Promise<Cpu> {
  return { model, physicalCores, ...(await readCores(system)) };
}

/** Cores under affinity and quota. */
export async function readCores(system: System): Promise<Omit<Cpu, 'model' | 'physicalCores'>> {
  const { logicalCores, availableParallelism } = system.runtime();
  const [status, quotas] = await Promise.all([system.readFile('/proc/self/status'), cpuQuotas(system)]);
  const allowed = countList(/^Cpus_allowed_list:\s*(\S+)/m.exec(status ?? '')?.[1]) ?? availableParallelism;
  const [quota] = quotas.toSorted((a, b) => a.cores - b.cores);
  let usableCores = Math.max(1, logicalCores);
  let coresLimitedBy: CoreLimiter = 'host';
  if (allowed < usableCores) [usableCores, coresLimitedBy] = [allowed, 'affinity'];
  // A part of a core runs a thread only part of the time, so it does not count; the first one always does.
  const whole = quota ? Math.max(1, Math.floor(quota.cores)) : Infinity;
  if (quota && whole < usableCores) [usableCores, coresLimitedBy] = [whole, quota.version];
  return { logicalCores, usableCores, coresLimitedBy, quotaCores: quota?.cores ?? null };
}

function parseMeminfo(text: string): { total: number | null; available: number | null } {
  const value = (key: string) => {
    const match = new RegExp(`^${key}:\\s*(\\d+) kB`, 'm').exec(text);
    return match ? Number(match[1]) * KIB : null;
  };
  // Kernels before 3.14 have no MemAvailable; free and cached pages are the nearest they tell.
  const older = value('MemFree') === null ? null : value('MemFree')! + (value('Buffers') ?? 0) + (value('Cached') ?? 0);
  return { total: value('MemTotal'), available: value('MemAvailable') ?? older };
}

/** How many CPUs "0-3,8,10-11" names. */
function countList(text: string | undefined): number | null {
  if (!text || !/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text)) return null;
  return text.split(',').reduce((count, part) => {
    const [first, last] = part.split('-').map(Number);
    return count + (last ?? first!) - first! + 1;
  }, 0);
}
