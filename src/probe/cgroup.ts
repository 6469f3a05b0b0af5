/**
 * A memory cgroup around one child (v1 and v2). It caps the child's memory, counts the kernel's out-of-memory kills in it
 * and finds every process that the child left behind, also those that moved to a session of their own.
 */
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Bytes } from '../units.js';

export interface MemoryCgroup {
  version: 1 | 2;
  directory: string;
  /** A process joins by writing its pid here. */
  procsFile: string;
}

const PREFIX = 'batchfit-';
let created = 0;

/** Makes a cgroup with a hard cap and no swap, or says why it cannot. */
export function makeMemoryCgroup(capBytes: Bytes): MemoryCgroup | { reason: string } {
  const reasons: string[] = [];
  for (const place of places()) {
    const directory = join(place.parent, `${PREFIX}${process.pid}-${++created}`);
    try {
      removeStale(place.parent);
      mkdirSync(directory);
    } catch (error) {
      reasons.push(`${place.parent}: ${reasonOf(error)}`);
      continue;
    }
    const group: MemoryCgroup = { version: place.version, directory, procsFile: join(directory, 'cgroup.procs') };
    try {
      setCap(group, capBytes);
      accessSync(group.procsFile, constants.W_OK);
      return group;
    } catch (error) {
      reasons.push(`${directory}: ${reasonOf(error)}`);
      removeMemoryCgroup(group);
    }
  }
  return { reason: reasons.join('; ') || 'no memory cgroup is mounted' };
}

/** Removes the cgroup; false while processes are still in it. */
export function removeMemoryCgroup(group: MemoryCgroup): boolean {
  try {
    rmdirSync(group.directory);
  } catch {
    return !existsSync(group.directory);
  }
  return true;
}

/** Processes in the cgroup now. */
export function cgroupProcesses(group: MemoryCgroup): number[] {
  return (read(group.procsFile) ?? '').split('\n').filter(Boolean).map(Number);
}

/** How many processes of this cgroup the kernel has killed because its memory ran out. */
export function cgroupOomKills(group: MemoryCgroup): number {
  const file = group.version === 2 ? 'memory.events' : 'memory.oom_control';
  return Number(/^oom_kill (\d+)$/m.exec(read(join(group.directory, file)) ?? '')?.[1] ?? 0);
}

/** Out-of-memory kills that this process can see around itself: its own cgroup's, else the whole machine's. */
export function surroundingOomKills(): number | null {
  const text = read('/proc/vmstat');
  const match = /^oom_kill (\d+)$/m.exec(text ?? '');
  return match ? Number(match[1]) : null;
}

function setCap(group: MemoryCgroup, capBytes: Bytes): void {
  const write = (file: string, value: string) => writeFileSync(join(group.directory, file), value);
  if (group.version === 2) {
    write('memory.max', String(capBytes));
    if (existsSync(join(group.directory, 'memory.swap.max'))) write('memory.swap.max', '0');
    return;
  }
  write('memory.limit_in_bytes', String(capBytes));
  // memsw counts memory and swap together; it is absent where the kernel does not account swap.
  const memsw = 'memory.memsw.limit_in_bytes';
  if (existsSync(join(group.directory, memsw))) write(memsw, String(capBytes));
  else write('memory.swappiness', '0');
}

/**
 * Where a cgroup could be made: v1 below our own; v2 below our own when it hands the memory controller on, else below
 * the nearest ancestor that does (a cgroup that holds processes cannot hand controllers on, its parent can).
 */
function places(): { version: 1 | 2; parent: string }[] {
  const found: { version: 1 | 2; parent: string }[] = [];
  for (const line of (read('/proc/self/cgroup') ?? '').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    const version = controllers === '' ? 2 : 1;
    if (version === 1 && !controllers.split(',').includes('memory')) continue;
    const mount = mountOf(version);
    if (!mount) continue;
    const own = join(mount.point, relativeTo(mount.root, path));
    if (version === 1) found.push({ version, parent: own });
    else
      for (let at = own; at.startsWith(mount.point); at = join(at, '..')) {
        if ((read(join(at, 'cgroup.subtree_control')) ?? '').split(/\s/).includes('memory')) found.push({ version, parent: at });
        if (at === mount.point) break;
      }
  }
  return found;
}

function mountOf(version: 1 | 2): { root: string; point: string } | null {
  for (const line of (read('/proc/self/mountinfo') ?? '').split('\n')) {
    const [left, right] = line.split(' - ');
    const [, , , root, point] = left?.split(' ') ?? [];
    const [type, , options] = right?.split(' ') ?? [];
    if (!root || !point) continue;
    if (version === 2 ? type === 'cgroup2' : type === 'cgroup' && options?.split(',').includes('memory')) return { root, point };
  }
  return null;
}

function relativeTo(root: string, path: string): string {
  return root !== '/' && path.startsWith(root) ? path.slice(root.length) : path;
}

/** A batchfit that was killed outright could not clean up: its empty cgroups go when the next one comes by. */
function removeStale(parent: string): void {
  for (const name of readdirSync(parent)) {
    const pid = name.startsWith(PREFIX) ? Number(name.slice(PREFIX.length).split('-')[0]) : Number.NaN;
    if (!(pid > 0) || existsSync(`/proc/${pid}`)) continue;
    try {
      rmdirSync(join(parent, name));
    } catch {
      // Still in use by a process of its own: not ours to end.
    }
  }
}

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

function reasonOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
