/** `--memory-cap`: how a child's memory is capped here, and what to tell the user where it cannot be. */
import type { Warning } from '../errors.js';
import { type Bytes, formatBytes, KIB } from '../units.js';
import { type MemoryCgroup, makeMemoryCgroup } from './cgroup.js';

export interface MemoryCap {
  /** `cgroup`: the kernel kills at the cap. `rlimit-data`: allocations fail at the cap. `none`: no cap. */
  kind: 'cgroup' | 'rlimit-data' | 'none';
  capBytes: Bytes | null;
  cgroup: MemoryCgroup | null;
  /** The child's command, wrapped where it must join the cap before it starts. */
  command: [string, ...string[]];
  environment: Record<string, string>;
  warnings: Warning[];
}

/** Joins the cgroup before the program starts, so that its very first page counts. */
const JOIN = 'echo $$ > "$BATCHFIT_CGROUP_PROCS" || exit 126; unset BATCHFIT_CGROUP_PROCS; exec "$@"';
/** `ulimit -d` limits private writable memory, the nearest to resident memory that a plain process may limit. */
const LIMIT = 'ulimit -d "$BATCHFIT_DATA_KIB" || exit 126; unset BATCHFIT_DATA_KIB; exec "$@"';

export function applyMemoryCap(capBytes: Bytes | null, command: [string, ...string[]]): MemoryCap {
  const none: MemoryCap = { kind: 'none', capBytes, cgroup: null, command, environment: {}, warnings: [] };
  if (capBytes === null) return none;
  if (process.platform === 'win32') {
    return { ...none, warnings: [cannotCap('Windows has no cap that this program can set', 'none at all')] };
  }
  const cgroup = makeMemoryCgroup(capBytes);
  const wrap = (script: string): [string, ...string[]] => ['/bin/sh', '-c', script, 'sh', ...command];
  if ('directory' in cgroup) {
    return { ...none, kind: 'cgroup', cgroup, command: wrap(JOIN), environment: { BATCHFIT_CGROUP_PROCS: cgroup.procsFile } };
  }
  return {
    ...none,
    kind: 'rlimit-data',
    command: wrap(LIMIT),
    environment: { BATCHFIT_DATA_KIB: String(Math.floor(capBytes / KIB)) },
    warnings: [
      cannotCap(`no memory cgroup can be made (${cgroup.reason})`, `a limit of ${formatBytes(capBytes)} on private memory (ulimit -d)`),
    ],
  };
}

function cannotCap(why: string, instead: string): Warning {
  return {
    code: 'NO_MEMORY_CGROUP',
    message: `--memory-cap: ${why}; used instead: ${instead}`,
    hint: 'run as root, in a container with a memory limit, or under systemd-run --scope -p MemoryMax=SIZE',
  };
}
