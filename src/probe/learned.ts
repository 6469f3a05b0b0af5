/**
 * What probes learned of this machine's devices, kept in the user's data folder: the memory that a process takes beside its
 * allocator, which no estimate can know. BATCHFIT_CALIBRATION=0 keeps estimates from using it.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { matchDeviceProfile } from '../machine/profiles.js';
import type { Bytes } from '../units.js';
import { median } from './calibration.js';
import { dataFolder } from './data-folder.js';
import type { TrialResult } from './engine.js';

/** Readings kept for a device, the newest last: an old driver's go. */
const KEPT = 16;

const path = (): string => join(dataFolder(), 'calibration.json');

/**
 * What each device's context took in these trials: what the driver counts for the process less what its allocator holds.
 * Trials that freed cached memory on the way, or that the driver says nothing of, tell nothing.
 */
export function contextsOf(trials: readonly TrialResult[]): { device: string; totalBytes: Bytes | null; contextBytes: Bytes }[] {
  return trials.flatMap(({ outcome, device, deviceBytes, reservedBytes }) => {
    if (outcome !== 'fits' || device?.kind !== 'cuda' || !device.name || deviceBytes === null || reservedBytes === null) return [];
    const contextBytes = deviceBytes - reservedBytes;
    return contextBytes > 0 ? [{ device: device.name, totalBytes: device.totalBytes, contextBytes }] : [];
  });
}

/** Adds what these trials tell to what is known. Trials of an earlier probe that are read again count again. */
export async function rememberContexts(trials: readonly TrialResult[]): Promise<void> {
  const found = contextsOf(trials);
  if (found.length === 0) return;
  const devices = await readDevices();
  for (const { device, totalBytes, contextBytes } of found) {
    const name = (await matchDeviceProfile(device, totalBytes))?.name ?? device;
    devices[name] = { contextBytes: [...(devices[name]?.contextBytes ?? []), contextBytes].slice(-KEPT) };
  }
  mkdirSync(dirname(path()), { recursive: true });
  const unfinished = `${path()}.${process.pid}`;
  writeFileSync(unfinished, `${JSON.stringify({ schema: 'batchfit/calibration@1', devices }, null, 2)}\n`);
  renameSync(unfinished, path());
}

/** The median of what a device's context was seen to take; null where no probe saw it, or the user does not want it. */
export async function recallContext(device: string): Promise<Bytes | null> {
  if (process.env.BATCHFIT_CALIBRATION === '0') return null;
  const seen = (await readDevices())[device]?.contextBytes ?? [];
  return seen.length > 0 ? median(seen) : null;
}

/** Nothing is known where the file is missing, of another version or damaged. */
async function readDevices(): Promise<Record<string, { contextBytes: Bytes[] }>> {
  if (!existsSync(path())) return {};
  // Slow to load, and seldom needed.
  const { z } = await import('zod');
  const schema = z.object({
    schema: z.literal('batchfit/calibration@1'),
    devices: z.record(z.string(), z.object({ contextBytes: z.array(z.number().int().positive()) })),
  });
  try {
    return schema.parse(JSON.parse(readFileSync(path(), 'utf8'))).devices;
  } catch {
    return {};
  }
}
