/** The processes of a child: finding them, measuring them, ending them. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { type Bytes, KIB } from '../units.js';
import { cgroupProcesses, type MemoryCgroup } from './cgroup.js';

/** Every process of the child's group, session or cgroup. Linux only; elsewhere just the child itself. */
export function processesOf(leader: number, cgroup: MemoryCgroup | null): number[] {
  const found = new Set(cgroup ? cgroupProcesses(cgroup) : []);
  for (const name of listProcesses()) {
    // "pid (name) state ppid pgrp session ...": the name may hold spaces and brackets, so count from the last ")".
    const [, , group, session] = (readProc(name, 'stat') ?? '').split(') ').at(-1)?.split(' ') ?? [];
    if (Number(group) === leader || Number(session) === leader) found.add(Number(name));
  }
  return [...found];
}

export interface ResidentMemory {
  /** Sum over the processes now. */
  totalBytes: Bytes;
  /** The highest that any single one of them has ever had (VmHWM). */
  highWaterBytes: Bytes;
}

export function residentMemory(processes: number[]): ResidentMemory {
  let totalBytes = 0;
  let highWaterBytes = 0;
  for (const pid of processes) {
    const status = readProc(String(pid), 'status') ?? '';
    const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * KIB;
    totalBytes += field('VmRSS');
    highWaterBytes = Math.max(highWaterBytes, field('VmHWM'));
  }
  return { totalBytes, highWaterBytes };
}

/** Sends a signal to the child's whole process group and to what else is in its cgroup. */
export function signalProcesses(leader: number, cgroup: MemoryCgroup | null, signal: NodeJS.Signals): void {
  if (process.platform === 'win32') {
    spawnSync('taskkill', ['/pid', String(leader), '/T', '/F'], { stdio: 'ignore', windowsHide: true });
    return;
  }
  for (const target of [-leader, ...processesOf(leader, cgroup)]) {
    try {
      process.kill(target, signal);
    } catch {
      // Gone already.
    }
  }
}

function listProcesses(): string[] {
  try {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

function readProc(pid: string, file: string): string | null {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return null;
  }
}
