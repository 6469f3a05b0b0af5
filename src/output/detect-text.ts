/** A machine for people: the host in two lines, then its devices and engines as tables. */
import type { z } from 'zod';
import { formatBytes } from '../units.js';
import type { document } from './documents/detect.js';
import { table } from './tables.js';

type DetectDocument = z.infer<typeof document>;

const LIMITERS: Record<string, string> = {
  'cgroup-v1': 'a cgroup (v1)',
  'cgroup-v2': 'a cgroup (v2)',
  affinity: 'CPU affinity',
  runtime: 'a limit that Node read',
};

export function renderMachine(answer: unknown): string {
  const { host, devices, tools, engines } = answer as DetectDocument;
  const { cpu, memory } = host;
  const lines = [
    `${host.os}; ${cpu.model}: ${cpu.physicalCores} cores, ${cpu.logicalCores} threads, ${cpu.usableCores} usable${because(cpu.coresLimitedBy)}`,
    `memory: ${formatBytes(memory.availableBytes)} available of ${formatBytes(memory.limitBytes)}${because(memory.limitedBy)}${
      memory.limitBytes < memory.totalBytes ? `; the machine has ${formatBytes(memory.totalBytes)}` : ''
    }`,
    '',
    table(
      ['device', 'name', 'memory', 'free', 'capability', 'driver', 'for programs'],
      devices.map((device) => [
        device.id,
        device.name,
        size(device.memory.totalBytes) + (device.unified ? ' shared' : ''),
        size(device.memory.freeBytes),
        device.computeCapability ?? '-',
        device.driver ?? '-',
        device.visible ? 'visible' : (device.note ?? 'hidden'),
      ]),
    ),
  ];
  const silent = tools.filter(({ status }) => status !== 'ok' && status !== 'missing');
  if (silent.length > 0) lines.push('', ...silent.map(({ name, status, reason }) => `${name}: ${status}${reason ? `: ${reason}` : ''}`));
  const rows = engines.map(({ name, status, version, device, reason }) => [name, status, version ?? '-', device ?? '-', reason ?? '']);
  if (rows.length > 0) lines.push('', table(['engine', 'status', 'version', 'device', 'reason'], rows));
  return lines.join('\n');
}

function because(limiter: string): string {
  return limiter === 'host' ? '' : ` (limited by ${LIMITERS[limiter] ?? limiter})`;
}

function size(bytes: number | null): string {
  return bytes === null ? '-' : formatBytes(bytes);
}
