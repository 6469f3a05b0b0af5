/** NVIDIA devices through nvidia-smi: cards, MIG instances, parts that share the host's memory, and every way to fail. */
import type { Warning } from '../errors.js';
import { MIB } from '../units.js';
import { JETSON_HINT, readJetson } from './jetson.js';
import type { Device, DeviceProcess, HostMemory, Mig, Tool } from './machine.js';
import { readMigInstances } from './mig.js';
import { type Run, type System, TOOL_TIMEOUT_MS } from './system.js';
import { hideInvisible } from './visible-cuda.js';

export interface Reading {
  tool: Tool;
  devices: Device[];
  warnings: Warning[];
}

/** Old drivers lack some of these; a refused one is asked for no more. */
const FIELDS = [
  'index',
  'uuid',
  'name',
  'memory.total',
  'memory.free',
  'memory.used',
  'memory.reserved',
  'compute_cap',
  'driver_version',
  'mig.mode.current',
  'pci.bus_id',
];
const NEEDED = ['index', 'name', 'memory.total'];
/** Where drivers put the tool when it is not on the search path. */
const ELSEWHERE: Partial<Record<NodeJS.Platform, string[]>> = {
  linux: ['/usr/lib/wsl/lib/nvidia-smi'],
  win32: ['C:\\Windows\\System32\\nvidia-smi.exe', 'C:\\Program Files\\NVIDIA Corporation\\NVSMI\\nvidia-smi.exe'],
};

const WHOLE_CARD: Mig = { enabled: false, profile: null, parent: null, gpuInstance: null, computeInstance: null, multiprocessors: null };

type Row = Record<string, string>;

/** All NVIDIA devices of this machine. Never throws: what went wrong is in `tool` and `warnings`. */
export async function readNvidia(system: System, host: HostMemory): Promise<Reading> {
  const { command, run, fields } = await query(system);
  if (run.error === 'missing') return withoutTool(system, host);
  const rows = parseRows(run.stdout, fields);
  const failure = rows.length > 0 ? null : describeFailure(run);
  if (failure) return { tool: failure, devices: [], warnings: failure.status === 'no-device' ? [] : [failureWarning(failure)] };
  const cards = rows.map((row) => toDevice(row, host));
  const warnings: Warning[] = [];
  if (cards.some((card) => card.mig?.enabled)) cards.push(...(await readMigInstances(system, command, cards)));
  await addProcesses(system, command, cards);
  warnings.push(...hideInvisible(cards, system.env), ...(await spillWarning(system)));
  return { tool: { name: 'nvidia-smi', status: 'ok', reason: null }, devices: cards, warnings };
}

async function query(system: System): Promise<{ command: string; run: Run; fields: string[] }> {
  let fields = FIELDS;
  for (const command of ['nvidia-smi', ...(ELSEWHERE[system.platform] ?? [])]) {
    for (;;) {
      const run = await system.run(command, [`--query-gpu=${fields.join(',')}`, '--format=csv,noheader,nounits'], TOOL_TIMEOUT_MS);
      const refused = /Field "([^"]+)" is not a valid field/.exec(run.stdout + run.stderr)?.[1];
      if (refused && fields.includes(refused) && !NEEDED.includes(refused)) {
        fields = fields.filter((field) => field !== refused);
        continue;
      }
      if (run.error !== 'missing') return { command, run, fields };
      break;
    }
  }
  return { command: 'nvidia-smi', run: { stdout: '', stderr: '', exitCode: null, error: 'missing' }, fields };
}

function parseRows(text: string, fields: string[]): Row[] {
  return text
    .split('\n')
    .map((line) => line.trim().split(/,\s*/))
    .filter((cells) => cells.length === fields.length && /^\d+$/.test(cells[0]!))
    .map((cells) => Object.fromEntries(fields.map((field, index) => [field, cells[index]!])));
}

/** The four ways not to get a device: nothing there, hung, refused to start, or its own words. */
function describeFailure(run: Run): Tool {
  const name = 'nvidia-smi';
  if (run.error === 'timeout') return { name, status: 'timeout', reason: `it did not answer within ${TOOL_TIMEOUT_MS / 1000} s` };
  if (run.error === 'unstartable') return { name, status: 'failed', reason: 'the system refuses to run it' };
  const words = `${run.stdout}\n${run.stderr}`
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
  if (words.some((line) => /^No devices were found|No supported GPUs were found/i.test(line))) {
    return { name, status: 'no-device', reason: words[0]! };
  }
  const reason = words.slice(0, 2).join('; ').slice(0, 300) || `it printed nothing and ended with exit code ${run.exitCode}`;
  return { name, status: 'failed', reason };
}

function failureWarning(tool: Tool): Warning {
  const hint = /version mismatch/i.test(tool.reason ?? '')
    ? 'the driver was updated under a running kernel: reboot, or reload the nvidia kernel modules'
    : /unknown error|insufficient permissions/i.test(tool.reason ?? '')
      ? 'in a container: restart it, the device nodes were taken away; otherwise look into dmesg'
      : 'run nvidia-smi by hand and cure what it says; name a device with --device to plan without it';
  return { code: tool.status === 'timeout' ? 'NVIDIA_SMI_TIMEOUT' : 'NVIDIA_SMI_FAILED', message: `nvidia-smi: ${tool.reason}`, hint };
}

function toDevice(row: Row, host: HostMemory): Device {
  const index = row.index!;
  const text = (field: string) => (row[field] === undefined || isBlank(row[field]) ? null : row[field]);
  const bytes = (field: string) => mebibytes(row[field]);
  const total = bytes('memory.total');
  const used = bytes('memory.used');
  const migMode = text('mig.mode.current');
  // Parts that share the host's memory report no memory of their own (GB10, Jetson).
  const unified = total === null && /^\[?(N\/A|Not Supported)\]?$/i.test(row['memory.total']!);
  const memory: Device['memory'] = unified
    ? {
        totalBytes: host.totalBytes,
        freeBytes: host.availableBytes,
        usedByOthersBytes: null,
        source: 'estimated',
        readFrom: '/proc/meminfo',
      }
    : { totalBytes: total, freeBytes: bytes('memory.free'), usedByOthersBytes: used, source: 'measured', readFrom: 'nvidia-smi' };
  return {
    id: `cuda:${index}`,
    kind: 'cuda',
    name: row.name!,
    uuid: text('uuid'),
    memory,
    computeCapability: text('compute_cap'),
    driver: text('driver_version'),
    mig: migMode === null ? null : { ...WHOLE_CARD, enabled: /^enabled$/i.test(migMode) },
    unified,
    visible: true,
    note: unified || total !== null ? null : `nvidia-smi says ${row['memory.total']} for its memory`,
    processes: [],
  };
}

/** `nounits` leaves a bare number of MiB; wrappers that ignore it leave the unit. */
function mebibytes(cell: string | undefined): number | null {
  const match = /^(\d+)( MiB)?$/.exec(cell ?? '');
  return match ? Number(match[1]) * MIB : null;
}

function isBlank(cell: string): boolean {
  return cell === '' || /^\[?(N\/A|Not Supported|Insufficient Permissions|Unknown Error|GPU is lost|GPU requires reset)\]?$/i.test(cell);
}

/** Who holds memory of which card now; nothing on systems that do not tell (WDDM, containers). */
async function addProcesses(system: System, command: string, cards: Device[]): Promise<void> {
  const args = ['--query-compute-apps=gpu_uuid,pid,process_name,used_memory', '--format=csv,noheader,nounits'];
  const run = await system.run(command, args, TOOL_TIMEOUT_MS);
  if (run.exitCode !== 0) return;
  for (const line of run.stdout.split('\n')) {
    const cells = line.trim().split(/,\s*/);
    const [uuid, pid] = cells;
    if (cells.length < 4 || !/^\d+$/.test(pid!)) continue;
    const used = cells.at(-1)!;
    const process: DeviceProcess = {
      pid: Number(pid),
      name: cells.slice(2, -1).join(', '),
      usedBytes: mebibytes(used),
    };
    cards.find((card) => card.uuid === uuid)?.processes.push(process);
  }
}

/** On Windows and WSL2 the driver moves what does not fit to host memory: a step that does not fail may still not fit. */
async function spillWarning(system: System): Promise<Warning[]> {
  const wsl = system.platform === 'linux' && /microsoft/i.test((await system.readFile('/proc/version')) ?? '');
  if (!wsl && system.platform !== 'win32') return [];
  return [
    {
      code: 'SPILLS_TO_HOST',
      message: `${wsl ? 'WSL2' : 'Windows'}: the driver spills to host memory instead of failing, which is many times slower`,
      hint: 'trust the measured peak, not the missing error; "Prefer No Sysmem Fallback" in the NVIDIA control panel turns it off',
    },
  ];
}

/** Without nvidia-smi: a Jetson tells by its device tree, other NVIDIA hardware at least that it is there. */
async function withoutTool(system: System, host: HostMemory): Promise<Reading> {
  const tool: Tool = { name: 'nvidia-smi', status: 'missing', reason: 'no such program' };
  if (system.platform !== 'linux') return { tool, devices: [], warnings: [] };
  const jetson = await readJetson(system, host);
  if (jetson) {
    const devices = [jetson];
    return { tool, devices, warnings: [JETSON_HINT, ...hideInvisible(devices, system.env)] };
  }
  if (!(await hasNvidiaHardware(system))) return { tool, devices: [], warnings: [] };
  const message = 'there is an NVIDIA device, but no nvidia-smi to read it with';
  return {
    tool,
    devices: [],
    warnings: [
      { code: 'NVIDIA_SMI_MISSING', message, hint: 'install the NVIDIA driver and its utilities, or name a device with --device' },
    ],
  };
}

async function hasNvidiaHardware(system: System): Promise<boolean> {
  if (await system.readFile('/proc/driver/nvidia/version')) return true;
  const slots = await system.listDir('/sys/bus/pci/devices');
  const found = await Promise.all(
    slots.map(async (slot) => {
      const vendor = await system.readFile(`/sys/bus/pci/devices/${slot}/vendor`);
      // PCI class 03xxxx is a display or 3D controller.
      return vendor?.trim() === '0x10de' && /^0x03/.test((await system.readFile(`/sys/bus/pci/devices/${slot}/class`)) ?? '');
    }),
  );
  return found.includes(true);
}
