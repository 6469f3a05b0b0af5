/** MIG instances: `nvidia-smi -L` knows names and UUIDs, `-q -x` memory; the two meet at the instance's index on its card. */
import { MIB } from '../units.js';
import type { Device, DeviceMemory } from './machine.js';
import { type System, TOOL_TIMEOUT_MS } from './system.js';

interface Instance {
  card: number;
  index: number;
  profile: string;
  uuid: string;
}

interface Slice {
  card: number;
  index: number;
  gpuInstance: number;
  computeInstance: number;
  multiprocessors: number | null;
  memory: DeviceMemory;
}

/** The instances of all cards in MIG mode. The cards themselves are marked as not usable: CUDA sees only instances. */
export async function readMigInstances(system: System, command: string, cards: Device[]): Promise<Device[]> {
  const [listing, xml] = await Promise.all([
    system.run(command, ['-L'], TOOL_TIMEOUT_MS),
    system.run(command, ['-q', '-x'], TOOL_TIMEOUT_MS),
  ]);
  const instances = parseListing(listing.stdout);
  let slices = parseXml(xml.stdout, cards);
  if (slices.length === 0) slices = parseTable((await system.run(command, [], TOOL_TIMEOUT_MS)).stdout);
  for (const card of cards.filter((card) => card.mig?.enabled)) {
    card.visible = false;
    const some = instances.some((instance) => `cuda:${instance.card}` === card.id);
    card.note = some ? 'in MIG mode: programs use its instances' : 'in MIG mode without an instance: nothing can run on it';
  }
  return instances.flatMap((instance) => {
    const card = cards.find(({ id }) => id === `cuda:${instance.card}`);
    const slice = slices.find((slice) => slice.card === instance.card && slice.index === instance.index);
    return card ? [toDevice(instance, slice, card)] : [];
  });
}

function toDevice(instance: Instance, slice: Slice | undefined, card: Device): Device {
  const unknown: DeviceMemory = { totalBytes: null, freeBytes: null, usedByOthersBytes: null, source: 'measured', readFrom: 'nvidia-smi' };
  return {
    ...card,
    id: `${card.id}/mig:${instance.index}`,
    name: `${card.name} MIG ${instance.profile}`,
    uuid: instance.uuid,
    memory: slice?.memory ?? unknown,
    mig: {
      enabled: true,
      profile: instance.profile,
      parent: card.id,
      gpuInstance: slice?.gpuInstance ?? null,
      computeInstance: slice?.computeInstance ?? null,
      multiprocessors: slice?.multiprocessors ?? null,
    },
    visible: true,
    note: slice ? null : 'nvidia-smi does not tell its memory',
    processes: [],
  };
}

/** "GPU 0: NVIDIA H100 ... (UUID: GPU-..)" followed by "  MIG 3g.40gb     Device  0: (UUID: MIG-..)". */
function parseListing(text: string): Instance[] {
  const instances: Instance[] = [];
  let card = -1;
  for (const line of text.split('\n')) {
    const gpu = /^GPU (\d+):/.exec(line);
    if (gpu) card = Number(gpu[1]);
    const mig = /^\s+MIG\s+(\S+)\s+Device\s+(\d+):\s*\(UUID:\s*([^)\s]+)\)/.exec(line);
    if (mig && card >= 0) instances.push({ card, profile: mig[1]!, index: Number(mig[2]), uuid: mig[3]! });
  }
  return instances;
}

function parseXml(text: string, cards: Device[]): Slice[] {
  return text
    .split(/<gpu id="/)
    .slice(1)
    .flatMap((gpu) => {
      const uuid = /<uuid>(GPU-[^<]+)<\/uuid>/.exec(gpu)?.[1];
      const card = cards.find((known) => known.uuid !== null && known.uuid === uuid)?.id.slice('cuda:'.length);
      if (card === undefined) return [];
      return [...gpu.matchAll(/<mig_device>([\s\S]*?)<\/mig_device>/g)].flatMap(([, body]) => {
        // Drivers from 590 on call the section shared, because compute instances of one GPU instance share its memory.
        const memory = /<(?:shared_)?fb_memory_usage>([\s\S]*?)<\/(?:shared_)?fb_memory_usage>/.exec(body!)?.[1] ?? '';
        const figures = [
          ...['index', 'gpu_instance_id', 'compute_instance_id', 'multiprocessor_count'].map((tag) => figure(body!, tag)),
          ...['used', 'total', 'free'].map((tag) => figure(memory, tag)),
        ];
        return toSlice([Number(card), ...figures]);
      });
    });
}

/** The "MIG devices" table of plain nvidia-smi: "|  0    2   0   0  |   26MiB / 40448MiB    | 60      0 | ...". */
function parseTable(text: string): Slice[] {
  const line = /^\|\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+\|\s+(\d+)MiB\s*\/\s*(\d+)MiB\s*\|\s*(\d+)/gm;
  return [...text.matchAll(line)].flatMap((match) => {
    const [card, gpuInstance, computeInstance, index, used, total, multiprocessors] = match.slice(1).map(Number) as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    return toSlice([card, index, gpuInstance, computeInstance, multiprocessors, used, total, total - used]);
  });
}

/** [card, index, GPU instance, compute instance, multiprocessors, used, total, free], memory in MiB; none if a figure is missing. */
function toSlice(figures: number[]): Slice[] {
  if (!figures.every(Number.isInteger)) return [];
  const [card, index, gpuInstance, computeInstance, multiprocessors, used, total, free] = figures as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const memory: DeviceMemory = {
    totalBytes: total * MIB,
    freeBytes: free * MIB,
    usedByOthersBytes: used * MIB,
    source: 'measured',
    readFrom: 'nvidia-smi',
  };
  return [{ card, index, gpuInstance, computeInstance, multiprocessors, memory }];
}

function figure(xml: string, tag: string): number {
  return Number(new RegExp(`<${tag}>\\s*(\\d+)`).exec(xml)?.[1] ?? Number.NaN);
}
