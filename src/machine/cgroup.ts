/**
 * The cgroups around this process, v1 and v2, as far up as they can be seen: a limit on any ancestor binds too. Paths in
 * /proc/self/cgroup count from the hierarchy's root, mounts may show only a part of it, and a container's cgroup namespace
 * hides the rest, so a path that is not under the mounted part falls back to the mount point itself.
 */
import type { Bytes } from '../units.js';
import type { System } from './system.js';

export type CgroupVersion = 'cgroup-v1' | 'cgroup-v2';
export type Controller = 'memory' | 'cpu';

export interface CgroupDir {
  version: CgroupVersion;
  path: string;
}

export interface MemoryLimit {
  version: CgroupVersion;
  /** The file that says so. */
  path: string;
  limitBytes: Bytes;
  /** What a process under it can still get: limit - usage + file cache that the kernel drops first; null when not readable. */
  availableBytes: Bytes | null;
}

export interface CpuQuota {
  version: CgroupVersion;
  path: string;
  cores: number;
}

/** Cgroup v1 writes "no limit" as the largest multiple of the page size below 2^63. */
const NO_LIMIT = 2 ** 60;

interface Mount {
  version: CgroupVersion;
  root: string;
  point: string;
  controllers: string[];
}

/** Folders of the process's own cgroup and all its visible ancestors, own first, for one controller; v1 before v2. */
export async function cgroupDirs(system: System, controller: Controller): Promise<CgroupDir[]> {
  const [membership, mountinfo] = await Promise.all([system.readFile('/proc/self/cgroup'), system.readFile('/proc/self/mountinfo')]);
  const paths = parseMembership(membership ?? '');
  return parseMounts(mountinfo ?? '').flatMap((mount) => {
    if (mount.version === 'cgroup-v1' && !mount.controllers.includes(controller)) return [];
    const path = paths.get(mount.version === 'cgroup-v2' ? '' : controller);
    return ancestry(mount.point, pathBelow(mount.root, path ?? '/')).map((dir) => ({ version: mount.version, path: dir }));
  });
}

/** Every memory limit that binds this process, in no order; null where no memory cgroup can be seen. */
export async function memoryLimits(system: System): Promise<MemoryLimit[] | null> {
  const dirs = await cgroupDirs(system, 'memory');
  if (dirs.length === 0) return null;
  const found = await Promise.all(dirs.map((dir, index) => limitsOf(system, dir, index > 0 && dirs[index - 1]?.version === dir.version)));
  return found.flat();
}

/** Every CPU quota that binds this process, in cores. */
export async function cpuQuotas(system: System): Promise<CpuQuota[]> {
  const dirs = await cgroupDirs(system, 'cpu');
  const quotas = await Promise.all(
    dirs.map(async ({ version, path }): Promise<CpuQuota | null> => {
      if (version === 'cgroup-v2') {
        const [quota, period] = ((await system.readFile(`${path}/cpu.max`)) ?? '').trim().split(/\s+/).map(Number);
        return quota! > 0 && period! > 0 ? { version, path: `${path}/cpu.max`, cores: quota! / period! } : null;
      }
      const [quota, period] = await Promise.all([
        readNumber(system, `${path}/cpu.cfs_quota_us`),
        readNumber(system, `${path}/cpu.cfs_period_us`),
      ]);
      return quota !== null && quota > 0 && period ? { version, path: `${path}/cpu.cfs_quota_us`, cores: quota / period } : null;
    }),
  );
  return quotas.filter((quota) => quota !== null);
}

async function limitsOf(system: System, dir: CgroupDir, isAncestor: boolean): Promise<MemoryLimit[]> {
  const { version, path } = dir;
  const read = (file: string) => readNumber(system, `${path}/${file}`);
  const isV2 = version === 'cgroup-v2';
  // memory.high does not kill but throttles to a crawl, so a training run must stay below it as well.
  const files = isV2 ? ['memory.max', 'memory.high'] : ['memory.limit_in_bytes'];
  const [limits, usage, stat, hierarchy] = await Promise.all([
    Promise.all(files.map(read)),
    read(isV2 ? 'memory.current' : 'memory.usage_in_bytes'),
    system.readFile(`${path}/memory.stat`),
    isV2 ? null : read('memory.use_hierarchy'),
  ]);
  // In the old non-hierarchical mode a parent's limit does not count its children.
  if (isAncestor && hierarchy === 0) return [];
  const inactiveFile = statValue(stat, isV2 ? 'inactive_file' : 'total_inactive_file') ?? 0;
  const result: MemoryLimit[] = [];
  limits.forEach((limit, index) => {
    if (limit === null || limit >= NO_LIMIT) return;
    const available = usage === null ? null : Math.max(0, limit - Math.max(0, usage - inactiveFile));
    result.push({ version, path: `${path}/${files[index]}`, limitBytes: limit, availableBytes: available });
  });
  // v1 also tells the tightest limit of all ancestors, those that a namespace hides included.
  const hierarchical = isV2 || isAncestor ? null : statValue(stat, 'hierarchical_memory_limit');
  if (hierarchical !== null && hierarchical < NO_LIMIT && !result.some((known) => known.limitBytes <= hierarchical)) {
    result.push({ version, path: `${path}/memory.stat`, limitBytes: hierarchical, availableBytes: null });
  }
  return result;
}

/** "4:memory:/jobs/7" -> memory => /jobs/7; the v2 line "0::/jobs/7" has the empty key. */
function parseMembership(text: string): Map<string, string> {
  const paths = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path !== undefined) for (const controller of controllers!.split(',')) paths.set(controller, path);
  }
  return paths;
}

/** Cgroup mounts of /proc/self/mountinfo (proc(5): root is field 4, mount point 5, type and options follow " - "). */
function parseMounts(text: string): Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split('\n')) {
    const [left, right] = [line.split(' - ')[0]!, line.split(' - ').at(-1)!];
    const [, , , root, point] = left.split(' ');
    const [kind, , options] = right.split(' ');
    if (!root || !point || (kind !== 'cgroup' && kind !== 'cgroup2')) continue;
    mounts.push({
      version: kind === 'cgroup' ? 'cgroup-v1' : 'cgroup-v2',
      root,
      point: unescapeOctal(point),
      controllers: (options ?? '').split(','),
    });
  }
  return mounts.sort((a, b) => a.version.localeCompare(b.version));
}

/** The process's path below what the mount shows; "" when it is not below it or leads out of the namespace. */
function pathBelow(root: string, path: string): string {
  if (path.split('/').includes('..')) return '';
  if (root === '/') return path === '/' ? '' : path;
  return path.startsWith(`${root}/`) ? path.slice(root.length) : '';
}

function ancestry(point: string, below: string): string[] {
  const dirs: string[] = [];
  for (let path = below; path !== ''; path = path.slice(0, path.lastIndexOf('/'))) dirs.push(point + path);
  return [...dirs, point];
}

async function readNumber(system: System, path: string): Promise<number | null> {
  const text = (await system.readFile(path))?.trim();
  return text && /^-?\d+$/.test(text) ? Number(text) : null;
}

function statValue(stat: string | null, key: string): number | null {
  const match = new RegExp(`^${key} (\\d+)$`, 'm').exec(stat ?? '');
  return match ? Number(match[1]) : null;
}

function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8)));
}
