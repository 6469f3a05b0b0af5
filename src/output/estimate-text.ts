/** The estimate for people: the answer first, then what it is made of. */
import type { z } from 'zod';
import { formatBytes } from '../units.js';
import type { document } from './documents/estimate.js';
import { table } from './tables.js';

type EstimateDocument = z.infer<typeof document>;

const LABELS: Record<string, string> = {
  parameters: 'parameters',
  gradients: 'gradients',
  optimizerState: 'optimizer state',
  activations: 'activations',
  inputs: 'inputs',
  temporaries: 'temporaries',
  workspaces: 'library workspaces',
  fragmentation: 'reserved, not in use',
  context: 'context (assumed)',
};

export function renderEstimate(answer: unknown): string {
  const { model, setup, memory, device, fits, maxBatch, layers, sweep } = answer as EstimateDocument;
  const { low, best, high } = memory.peak.deviceBytes;
  const lines = [
    `${model.name}, batch ${setup.batch}, ${setup.precision}, ${setup.optimizer}: ${formatBytes(best)} on the device (${formatBytes(low)} to ${formatBytes(high)}), peak in ${memory.peakAt}`,
    `${fits ? 'fits' : 'does not fit'} on ${device.name}: ${formatBytes(device.usableBytes)} usable of ${formatBytes(device.totalBytes)}`,
    maxBatch.best > 0
      ? `largest batch: ${maxBatch.best} (surely ${maxBatch.low}, hardly above ${maxBatch.high})`
      : 'largest batch: none, one sample does not fit',
    '',
    table(
      ['at the peak', 'bytes', 'share'],
      Object.entries(memory.breakdown).map(([name, bytes]) => [
        LABELS[name] ?? name,
        formatBytes(bytes),
        `${((100 * bytes) / best).toFixed(1)} %`,
      ]),
    ),
    '',
    `allocated ${formatBytes(memory.peak.allocatedBytes)}, reserved ${formatBytes(memory.peak.reservedBytes)}; about ${formatBytes(memory.fixedBytes)} + ${formatBytes(memory.perSampleBytes)} a sample; source: ${memory.source}`,
  ];
  if (layers) {
    const rows = layers.map((l) => [
      l.module || '(top)',
      l.operators.join(' '),
      l.parameters.toLocaleString('en'),
      formatBytes(l.activationBytes),
    ]);
    lines.push('', table(['module', 'operators', 'parameters', 'kept for backward'], rows));
  }
  if (sweep) {
    const rows = sweep.map((each) => [
      String(each.batch),
      formatBytes(each.memory.peak.deviceBytes.best),
      formatBytes(each.memory.peak.allocatedBytes),
      each.fits ? 'yes' : 'no',
    ]);
    lines.push('', table(['batch', 'on the device', 'allocated', 'fits'], rows));
  }
  return lines.join('\n');
}
