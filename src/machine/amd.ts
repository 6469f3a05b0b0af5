/** AMD devices: amd-smi, else rocm-smi, else the kernel's own files; the kernel also knows how much an APU may really use. */
import type { Warning } from '../errors.js';
import { type KernelGpu, readAmdKernel } from './amd-kernel.js';
import type { AmdGpu } from './amd-smi.js';
import type { Device, Tool } from './machine.js';
import type { Reading } from './nvidia.js';
import { type Run, type System, TOOL_TIMEOUT_MS } from './system.js';

/** All AMD devices of this machine. Never throws: what went wrong is in `tool` and `warnings`. */
export async function readAmd(system: System): Promise<Reading> {
  const kernel = await readAmdKernel(system);
  const [amdSmi, rocmSmi] = await Promise.all([runAmdSmi(system), runRocmSmi(system)]);
  const answered = [amdSmi, rocmSmi].find(({ gpus }) => gpus.length > 0);
  const tool = answered?.tool ?? stateOf([amdSmi.tool, rocmSmi.tool], kernel.length > 0);
  const warnings: Warning[] = [];
  if (tool.status === 'failed' || tool.status === 'timeout') {
    const code = tool.status === 'timeout' ? 'AMD_SMI_TIMEOUT' : 'AMD_SMI_FAILED';
    warnings.push({
      code,
      message: `${tool.name}: ${tool.reason}`,
      hint: `run ${tool.name} by hand and cure what it says; sizes were read from sysfs`,
    });
  }
  const devices = answered ? answered.gpus.map((gpu, index) => fromTool(gpu, index, answered.tool.name)) : kernel.map(fromKernel);
  if (answered && devices.length === kernel.length) for (const [index, device] of devices.entries()) addKernelFacts(device, kernel[index]!);
  if (!answered && !(await system.listDir('/dev')).includes('kfd')) {
    for (const device of devices) Object.assign(device, { visible: false, note: '/dev/kfd is not here, so ROCm cannot reach it' });
  }
  hideInvisible(devices, system.env);
  return { tool, devices, warnings };
}

interface Answer {
  tool: Tool;
  gpus: AmdGpu[];
}

async function runAmdSmi(system: System): Promise<Answer> {
  const ask = (...args: string[]) => system.run('amd-smi', [...args, '--json'], TOOL_TIMEOUT_MS);
  const [identity, usage] = await Promise.all([ask('static', '--asic', '--vram', '--driver'), ask('metric', '--mem-usage')]);
  if (identity.error === 'missing') return { gpus: [], tool: describe('amd-smi', identity, 0) };
  const { parseAmdSmi } = await import('./amd-smi.js');
  const gpus = parseAmdSmi(identity.stdout, usage.stdout);
  return { gpus, tool: describe('amd-smi', identity, gpus.length) };
}

async function runRocmSmi(system: System): Promise<Answer> {
  const args = ['--showproductname', '--showmeminfo', 'vram', '--showuniqueid', '--showdriverversion', '--json'];
  const run = await system.run('rocm-smi', args, TOOL_TIMEOUT_MS);
  if (run.error === 'missing') return { gpus: [], tool: describe('rocm-smi', run, 0) };
  const { parseRocmSmi } = await import('./amd-smi.js');
  const gpus = parseRocmSmi(run.stdout);
  return { gpus, tool: describe('rocm-smi', run, gpus.length) };
}

function describe(name: string, run: Run, found: number): Tool {
  if (found > 0) return { name, status: 'ok', reason: null };
  if (run.error === 'missing') return { name, status: 'missing', reason: 'no such program' };
  if (run.error === 'timeout') return { name, status: 'timeout', reason: `it did not answer within ${TOOL_TIMEOUT_MS / 1000} s` };
  if (run.error === 'unstartable') return { name, status: 'failed', reason: 'the system refuses to run it' };
  const words = `${run.stderr}\n${run.stdout}`
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
  return { name, status: 'failed', reason: words.slice(0, 2).join('; ').slice(0, 300) || 'it named no device' };
}

/** Without hardware a tool that finds nothing has not failed: images for ROCm have the tools installed everywhere. */
function stateOf(tools: Tool[], hasHardware: boolean): Tool {
  const worst = tools.find(({ status }) => status === 'timeout') ?? tools.find(({ status }) => status === 'failed') ?? tools[0]!;
  return worst.status === 'failed' && !hasHardware ? { ...worst, status: 'no-device' } : worst;
}

function fromTool(gpu: AmdGpu, index: number, readFrom: string): Device {
  const { totalBytes, usedBytes } = gpu;
  const freeBytes = totalBytes !== null && usedBytes !== null ? totalBytes - usedBytes : null;
  return {
    ...blank(index),
    name: gpu.name,
    uuid: gpu.uuid,
    memory: { totalBytes, freeBytes, usedByOthersBytes: usedBytes, source: 'measured', readFrom },
    computeCapability: gpu.gfx,
    driver: gpu.driver,
  };
}

function fromKernel(gpu: KernelGpu, index: number): Device {
  const { totalBytes, usedBytes } = gpu;
  return {
    ...blank(index),
    name: gpu.name ?? `AMD ${gpu.gfx}`,
    uuid: gpu.uuid,
    memory: {
      totalBytes,
      freeBytes: usedBytes === null ? null : totalBytes - usedBytes,
      usedByOthersBytes: usedBytes,
      source: 'measured',
      readFrom: 'sysfs',
    },
    computeCapability: gpu.gfx,
    unified: gpu.unified,
  };
}

function blank(index: number): Omit<Device, 'name' | 'uuid' | 'memory'> {
  return {
    id: `rocm:${index}`,
    kind: 'rocm',
    computeCapability: null,
    driver: null,
    mig: null,
    unified: false,
    visible: true,
    note: null,
    processes: [],
  };
}

/** The tools report an APU's carve-out (often 512 MiB) as its memory; what HIP can use is in the kernel's memory banks. */
function addKernelFacts(device: Device, gpu: KernelGpu): void {
  device.computeCapability ??= gpu.gfx;
  device.uuid ??= gpu.uuid;
  if (!gpu.unified) return;
  device.unified = true;
  device.memory = fromKernel(gpu, 0).memory;
}

/** ROCR_VISIBLE_DEVICES filters first, HIP_VISIBLE_DEVICES (or CUDA_VISIBLE_DEVICES) counts what is left (ROCm docs, "GPU isolation"). */
function hideInvisible(devices: Device[], env: Record<string, string | undefined>): void {
  const hip = env.HIP_VISIBLE_DEVICES === undefined ? 'CUDA_VISIBLE_DEVICES' : 'HIP_VISIBLE_DEVICES';
  for (const name of ['ROCR_VISIBLE_DEVICES', hip]) {
    const value = env[name];
    if (value === undefined) continue;
    const present = devices.filter(({ visible }) => visible);
    const chosen = new Set<Device>();
    for (const token of value.split(',').map((text) => text.trim())) {
      const byUuid = present.find(({ uuid }) => uuid !== null && uuid.toLowerCase() === token.toLowerCase());
      const device = /^\d+$/.test(token) ? present[Number(token)] : byUuid;
      if (!device) break;
      chosen.add(device);
    }
    for (const device of present) if (!chosen.has(device)) Object.assign(device, { visible: false, note: `hidden by ${name}=${value}` });
  }
}
