/** AMD compute devices as the kernel's KFD topology and amdgpu's sysfs files show them; no tool needed. */
import type { Bytes } from '../units.js';
import type { System } from './system.js';

export interface KernelGpu {
  name: string | null;
  uuid: string | null;
  /** "gfx942" */
  gfx: string;
  totalBytes: Bytes;
  usedBytes: Bytes | null;
  /** An APU: its memory is the host's. */
  unified: boolean;
}

const NODES = '/sys/class/kfd/kfd/topology/nodes';

/** GPUs that ROCm can compute on, in the kernel's order (which is HIP's). */
export async function readAmdKernel(system: System): Promise<KernelGpu[]> {
  const nodes = (await system.listDir(NODES)).filter((name) => /^\d+$/.test(name)).sort((a, b) => Number(a) - Number(b));
  const gpus = await Promise.all(nodes.map((node) => readNode(system, `${NODES}/${node}`)));
  return gpus.filter((gpu) => gpu !== null);
}

async function readNode(system: System, path: string): Promise<KernelGpu | null> {
  const properties = (await system.readFile(`${path}/properties`)) ?? '';
  const version = property(properties, 'gfx_target_version');
  if (!version) return null;
  const device = `/sys/class/drm/renderD${property(properties, 'drm_render_minor') ?? -1}/device`;
  const file = async (name: string) => (await system.readFile(`${device}/${name}`))?.trim() || null;
  const bytes = async (name: string) => Number((await file(name)) ?? Number.NaN);
  const bank = property((await system.readFile(`${path}/mem_banks/0/properties`)) ?? '', 'size_in_bytes');
  const [vram, used, gttUsed] = await Promise.all([bytes('mem_info_vram_total'), bytes('mem_info_vram_used'), bytes('mem_info_gtt_used')]);
  const totalBytes = bank ?? (Number.isNaN(vram) ? null : vram);
  if (totalBytes === null) return null;
  // On an APU the bank is the pool that HIP may use, mem_info_vram_total only the firmware's carve-out.
  const unified = bank !== null && bank > vram;
  const usedBytes = unified ? used + gttUsed : used;
  const unique = /^unique_id (\d+)$/m.exec(properties)?.[1];
  return {
    name: await file('product_name'),
    uuid: unique && unique !== '0' ? `GPU-${BigInt(unique).toString(16).padStart(16, '0')}` : null,
    gfx: gfxName(version),
    totalBytes,
    usedBytes: Number.isNaN(usedBytes) ? null : usedBytes,
    unified,
  };
}

/** 90402 is gfx942, 110001 gfx1101, 90010 gfx90a: major * 10000 + minor * 100 + stepping, the last two in hexadecimal. */
function gfxName(version: number): string {
  const [major, minor, stepping] = [Math.floor(version / 10000), Math.floor(version / 100) % 100, version % 100];
  return `gfx${major}${minor.toString(16)}${stepping.toString(16)}`;
}

function property(text: string, key: string): number | null {
  const match = new RegExp(`^${key} (\\d+)$`, 'm').exec(text);
  return match ? Number(match[1]) : null;
}
