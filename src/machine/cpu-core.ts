/** How many cores of this machine's CPU a process may use, and what one of them can do: read from files, no tool is run. */
import { readCores } from './host.js';
import type { CpuCore } from './machine.js';
import type { System } from './system.js';

export interface Processor {
  cores: number;
  core: CpuCore;
}

export async function readProcessor(system: System): Promise<Processor> {
  const [{ usableCores }, cpuinfo] = await Promise.all([readCores(system), system.readFile('/proc/cpuinfo')]);
  const text = cpuinfo ?? '';
  return { cores: Math.min(usableCores, countCores(text)), core: coreOf(text, system.arch) };
}

/** The cores behind the threads of /proc/cpuinfo: two threads of a core share its vector units. Arm's does not tell, and has one. */
function countCores(cpuinfo: string): number {
  const places = [...cpuinfo.matchAll(/^physical id\s*: (\d+)\n(?:.+\n)*?core id\s*: (\d+)$/gm)];
  return new Set(places.map(([, socket, core]) => `${socket}/${core}`)).size || Infinity;
}

function coreOf(cpuinfo: string, arch: string): CpuCore {
  // Advanced SIMD is a part of every 64-bit Arm core that an operating system runs on.
  if (arch === 'arm64') return { vector: 'neon', bf16: null, hertz: null };
  const field = (name: string) => new RegExp(`^${name}\\s*: (.+)$`, 'm').exec(cpuinfo)?.[1];
  const flags = new Set(field('flags')?.split(' '));
  // Zen 4 (AMD's family 19h) runs AVX-512 in two passes on units of 256 bits.
  const wide = flags.has('avx512f') && !(field('vendor_id') === 'AuthenticAMD' && field('cpu family') === '25');
  // Linux counts BogoMIPS from the time-stamp counter, two a tick; a constant one ticks at the base clock whatever the cores do.
  const ticks = flags.has('constant_tsc') ? Number(field('bogomips')) / 2 : 0;
  return {
    vector: wide ? 'avx512' : flags.has('avx2') ? 'avx2' : null,
    bf16: flags.has('amx_bf16') ? 'amx' : flags.has('avx512_bf16') ? 'avx512' : null,
    hertz: ticks > 0 ? ticks * 1e6 : null,
  };
}
