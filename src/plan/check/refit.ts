/** Whether a plan's micro batch fits on a device, estimated anew, or by the figures the plan was saved with. */
import type { TargetDevice } from '../../machine/machine.js';
import { Estimator } from '../../memory/estimate.js';
import type { ModelGraph } from '../../model/graph.js';
import type { Setup } from '../../setup.js';
import type { Bytes } from '../../units.js';
import { formatBytes } from '../../units.js';
import type { Fit } from './plan-checks.js';

export interface SavedMemory {
  micro: number;
  /** The saved estimate of the device's memory. */
  saved: { best: Bytes; high: Bytes };
  measuredPeakBytes: Bytes | null;
}

/** `graph` null where the model cannot be read again. */
export function refit(memory: SavedMemory, setup: Setup, target: TargetDevice, graph: ModelGraph | null): Fit {
  const device = { kind: target.kind, name: target.name, count: target.count, usableBytes: target.usableBytes };
  if (graph === null) {
    const { best, high } = memory.saved;
    return described(
      { device, neededBytes: high, fits: best <= target.usableBytes, tight: high > target.usableBytes },
      'by the figures in the plan',
    );
  }
  const estimator = new Estimator(graph, setup, target);
  const neededBytes = estimator.memory(memory.micro).peak.deviceBytes.high;
  return described(
    { device, neededBytes, fits: estimator.fits(memory.micro, 'best'), tight: !estimator.fits(memory.micro, 'high') },
    'estimated for this device',
  );
}

function described(fit: Omit<Fit, 'note'>, how: string): Fit {
  const usable = formatBytes(fit.device.usableBytes);
  const note =
    !fit.tight && fit.neededBytes > fit.device.usableBytes
      ? `it takes up to ${formatBytes(fit.neededBytes)} where there is room, and in ${usable} the allocator frees its cache (${how})`
      : `it needs up to ${formatBytes(fit.neededBytes)} of ${usable} that can be used now (${how})`;
  return { ...fit, note };
}
