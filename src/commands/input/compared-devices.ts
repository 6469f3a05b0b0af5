/** Reads compare's --device: `t4,a100-40gb,apple-m4-max=64GiB`. */
import { UsageError } from '../../errors.js';
import type { TargetDevice } from '../../machine/machine.js';
import { parseBytes } from '../../units.js';
import { openUncalibrated } from './target.js';
import { parseList, splitPair } from './values.js';

export interface ComparedName {
  device: string;
  /** Size that replaces the device's own, as it was written. */
  memory: string | undefined;
}

/** Throws UsageError for an entry that is neither NAME nor NAME=SIZE. */
export function parseComparedDevices(text: string): ComparedName[] {
  return parseList(text, '--device').map((entry) => {
    const [device, memory] = splitPair(entry) ?? [];
    if (device === undefined) {
      throw new UsageError('BAD_DEVICE', `--device: expected NAME or NAME=MEMORY, found "${entry}"`, 'write t4,apple-m4-max=64GiB');
    }
    if (memory !== undefined) parseBytes(memory, '--device');
    return { device, memory };
  });
}

export async function openCompared(
  { device, memory }: ComparedName,
  reserve: string | undefined,
): Promise<{ device: string; target: TargetDevice }> {
  try {
    return { device, target: await openUncalibrated({ device, memory, reserve }) };
  } catch (error) {
    if (!(error instanceof UsageError) || error.code !== 'DEVICE_NEEDS_MEMORY') throw error;
    throw new UsageError(error.code, error.message, `say how much it has: --device ${device}=32GiB`);
  }
}
