/** The device that a command is about: a profile, or the best one of this machine. */
import { MissingError, UndeterminedError, UsageError } from '../errors.js';
import { type Bytes, parseBytes, parseFraction } from '../units.js';
import { metalWorkingSet } from './apple.js';
import { readProcessor } from './cpu-core.js';
import { readAccelerators } from './detect.js';
import { readMemory } from './host.js';
import type { Device, DeviceProfile, Machine, TargetDevice } from './machine.js';
import { loadDeviceProfile, matchDeviceProfile } from './profiles.js';
import { type System, thisSystem } from './system.js';

export interface WhereOptions {
  /** A profile's name, "cpu", a device of this machine ("cuda", "cuda:1", "mps"); default: this machine's best. */
  device?: string | undefined;
  /** Size that replaces the device's own: all of it may be used (on Apple silicon it is the machine's memory). */
  memory?: string | undefined;
  /** Head-room kept free: a share of the device's memory ("5%") or a size ("1GiB"). */
  reserve?: string | undefined;
}

const LOCAL = /^(cuda|rocm|mps)(:\S+)?$/i;

/**
 * Resolves --device, --memory and --reserve. Throws UsageError for an unknown name or a bad size, MissingError when a
 * device of this machine is asked for and is not here, UndeterminedError when this machine's devices cannot be read.
 */
export async function resolveTarget(options: WhereOptions, system: System = thisSystem()): Promise<TargetDevice> {
  const memory = options.memory === undefined ? null : parseBytes(options.memory, '--memory');
  const target =
    options.device === undefined || LOCAL.test(options.device)
      ? await localTarget(options.device?.toLowerCase(), system)
      : options.device.toLowerCase() === 'cpu'
        ? await cpuTarget(system)
        : profileTarget(await loadDeviceProfile(options.device), memory);
  return withReserve(memory === null ? target : withMemory(target, memory), options.reserve);
}

function profileTarget(profile: DeviceProfile, memory: Bytes | null): TargetDevice {
  const totalBytes = memory ?? profile.memory.totalBytes;
  if (totalBytes === null) {
    throw new UsageError(
      'DEVICE_NEEDS_MEMORY',
      `--device ${profile.name}: its memory differs from machine to machine`,
      'say how much it has: --memory 32GiB',
    );
  }
  return {
    name: profile.name,
    kind: profile.kind,
    count: 1,
    totalBytes,
    usableBytes: profile.memory.usableBytes ?? totalBytes,
    computeCapability: profile.computeCapability,
    multiprocessors: profile.multiprocessors,
    profile,
    source: 'assumed',
  };
}

async function cpuTarget(system: System): Promise<TargetDevice> {
  const [memory, { cores, core }, profile] = await Promise.all([readMemory(system), readProcessor(system), loadDeviceProfile('cpu')]);
  const { limitBytes: totalBytes, availableBytes: usableBytes } = memory;
  return {
    name: 'cpu',
    kind: 'cpu',
    count: 1,
    totalBytes,
    usableBytes,
    computeCapability: null,
    multiprocessors: cores,
    core,
    profile,
    source: 'measured',
  };
}

/** This machine's best visible accelerator, or the one asked for; without any, its CPU. */
async function localTarget(wanted: string | undefined, system: System): Promise<TargetDevice> {
  const found = await readAccelerators(system, await readMemory(system));
  const matching = found.devices.filter((device) => wanted === undefined || device.id === wanted || device.kind === wanted);
  const visible = matching.filter((device) => device.visible);
  const best = visible.sort((a, b) => (b.memory.freeBytes ?? 0) - (a.memory.freeBytes ?? 0))[0];
  if (best) return deviceTarget(best, visible);
  refuseUnreadable(found);
  if (wanted === undefined) return cpuTarget(system);
  const hidden = matching.find(({ note }) => note !== null);
  throw new MissingError(
    'NO_DEVICE',
    `--device ${wanted}: this machine has no such device${hidden ? ` for programs: ${hidden.id} is ${hidden.note}` : ''}`,
    '"batchfit detect" lists what there is; a profile such as rtx-3090 plans for another machine',
  );
}

async function deviceTarget(device: Device, visible: Device[]): Promise<TargetDevice> {
  const { totalBytes, freeBytes } = device.memory;
  const profile = await matchDeviceProfile(device.name, totalBytes);
  const total = totalBytes ?? profile?.memory.totalBytes ?? null;
  const usable = freeBytes ?? profile?.memory.usableBytes ?? total;
  if (total === null || usable === null) {
    throw new UndeterminedError(
      'UNREADABLE_DEVICE',
      `${device.id} (${device.name}): ${device.note ?? 'its memory cannot be read'}`,
      'say how much it has: --device NAME --memory 24GiB',
    );
  }
  const slice = device.mig?.parent ? device.mig : null;
  return {
    name: profile && !slice ? profile.name : device.name,
    kind: device.kind,
    // A CUDA program sees one MIG instance and no more.
    count: slice ? 1 : visible.filter((other) => other.kind === device.kind && other.name === device.name).length,
    totalBytes: total,
    usableBytes: usable,
    computeCapability: device.computeCapability ?? profile?.computeCapability ?? null,
    multiprocessors: slice ? slice.multiprocessors : (profile?.multiprocessors ?? null),
    profile,
    source: freeBytes === null ? 'assumed' : device.memory.source,
  };
}

/** A tool that is there but fails must not pass for a machine without a device. */
function refuseUnreadable({ tools }: Pick<Machine, 'tools'>): void {
  const broken = tools.find(({ status }) => status === 'failed' || status === 'timeout');
  if (!broken) return;
  const hint = 'cure it, or say which device is meant: --device rtx-3090, --device cpu';
  throw new UndeterminedError('UNREADABLE_DEVICE', `this machine's devices cannot be read: ${broken.name}: ${broken.reason}`, hint);
}

function withMemory(target: TargetDevice, memory: Bytes): TargetDevice {
  return { ...target, totalBytes: memory, usableBytes: target.kind === 'mps' ? metalWorkingSet(memory) : memory, source: 'assumed' };
}

function withReserve(target: TargetDevice, reserve: string | undefined): TargetDevice {
  if (reserve === undefined) return target;
  const isSize = /[a-z]\s*$/i.test(reserve);
  const bytes = isSize ? parseBytes(reserve, '--reserve') : Math.ceil(parseFraction(reserve, '--reserve') * target.totalBytes);
  if (bytes < target.usableBytes) return { ...target, usableBytes: target.usableBytes - bytes };
  throw new UsageError(
    'BAD_RESERVE',
    `--reserve: ${reserve} leaves nothing of what can be used on ${target.name}`,
    'reserve less, for example 5%',
  );
}
