/**
 * What CUDA_VISIBLE_DEVICES lets a program see: a list of indices, UUID prefixes or MIG ids that ends at the first entry
 * which names no device (CUDA programming guide, "CUDA environment variables"; MIG user guide, "CUDA_VISIBLE_DEVICES").
 */
import type { Warning } from '../errors.js';
import type { Device } from './machine.js';

/** Marks what a program started now would not see; whole cards in MIG mode stay hidden. */
export function hideInvisible(devices: Device[], env: Record<string, string | undefined>): Warning[] {
  const cuda = env.CUDA_VISIBLE_DEVICES;
  const container = env.NVIDIA_VISIBLE_DEVICES;
  if (cuda !== undefined) keep(devices, resolveList(cuda.split(','), devices), `CUDA_VISIBLE_DEVICES=${cuda}`);
  else if (container !== undefined) {
    const chosen = resolveContainer(container.trim(), devices);
    if (chosen) keep(devices, chosen, `NVIDIA_VISIBLE_DEVICES=${container}`);
  }
  return orderWarning(devices, env);
}

function keep(devices: Device[], chosen: Set<Device>, because: string): void {
  for (const device of devices) {
    if (!device.visible || chosen.has(device)) continue;
    device.visible = false;
    device.note = `hidden by ${because}`;
  }
}

function resolveList(tokens: string[], devices: Device[]): Set<Device> {
  const chosen = new Set<Device>();
  for (const token of tokens) {
    const device = resolveToken(token.trim(), devices);
    if (!device) break;
    chosen.add(device);
  }
  return chosen;
}

function resolveToken(token: string, devices: Device[]): Device | undefined {
  const cards = devices.filter((device) => !device.mig?.parent);
  // A card in MIG mode stands for its first instance: a CUDA program sees one instance and no more.
  const usable = (card: Device | undefined) => (card?.mig?.enabled ? devices.find((device) => device.mig?.parent === card.id) : card);
  if (/^\d+$/.test(token)) return usable(cards[Number(token)]);
  if (/^MIG-/i.test(token)) return devices.find((device) => device.mig?.parent && matchesMig(token, device, cards));
  if (!/^GPU-/i.test(token)) return undefined;
  const matches = cards.filter((card) => startsWith(card.uuid, token));
  return matches.length === 1 ? usable(matches[0]) : undefined;
}

/** Drivers before 470 name instances MIG-<card's UUID>/<GPU instance>/<compute instance>. */
function matchesMig(token: string, device: Device, cards: Device[]): boolean {
  const [, card, gpuInstance, computeInstance] = /^MIG-(GPU-[^/]+)\/(\d+)\/(\d+)$/i.exec(token) ?? [];
  if (card === undefined) return startsWith(device.uuid, token);
  const parent = cards.find(({ id }) => id === device.mig?.parent);
  return (
    startsWith(parent?.uuid ?? null, card) &&
    device.mig?.gpuInstance === Number(gpuInstance) &&
    device.mig.computeInstance === Number(computeInstance)
  );
}

function startsWith(uuid: string | null, prefix: string): boolean {
  return uuid?.toLowerCase().startsWith(prefix.toLowerCase()) ?? false;
}

/**
 * NVIDIA_VISIBLE_DEVICES is read by the container runtime, not by CUDA. Inside the container its work is done and indices
 * count the host's cards, so it hides something only where more cards are seen than it names. "void" hides nothing: CDI
 * specs set it beside the devices that they inject. Null when it does not decide.
 */
function resolveContainer(value: string, devices: Device[]): Set<Device> | null {
  if (value === 'none') return new Set();
  if (value === '' || value === 'all' || value === 'void' || value.startsWith('/')) return null;
  const tokens = value.split(',');
  if (devices.filter((device) => !device.mig?.enabled || device.mig.parent).length <= tokens.length) return null;
  const chosen = tokens.map((token) => resolveToken(token.trim(), devices)).filter((device) => device !== undefined);
  return chosen.length === tokens.length ? new Set(chosen) : null;
}

/** CUDA counts the fastest card first, nvidia-smi by PCI bus: an index means another card on a mixed machine. */
function orderWarning(devices: Device[], env: Record<string, string | undefined>): Warning[] {
  const names = new Set(devices.filter((device) => !device.mig?.parent).map((device) => device.name));
  const usesIndex = /^\s*\d/.test(env.CUDA_VISIBLE_DEVICES ?? '');
  if (names.size < 2 || !usesIndex || env.CUDA_DEVICE_ORDER === 'PCI_BUS_ID') return [];
  return [
    {
      code: 'CUDA_ORDER',
      message: 'CUDA_VISIBLE_DEVICES has indices and the cards differ: CUDA counts the fastest first, nvidia-smi by PCI bus',
      hint: 'set CUDA_DEVICE_ORDER=PCI_BUS_ID or name the card by its UUID',
    },
  ];
}
