/** A measured data loader for people. */
import type { z } from 'zod';
import { formatNumber } from '../plan/advice.js';
import { formatBytes } from '../units.js';
import type { document } from './documents/loader.js';
import { table } from './tables.js';

export function renderLoader(answer: unknown): string {
  const { recommended, points } = answer as z.infer<typeof document>;
  const rows = points.map(({ workers, prefetch, shuffles, samplesPerSecond, hostBytes, outcome, evidence }) => [
    `${workers}`,
    workers === 0 ? '-' : `${prefetch}`,
    samplesPerSecond === null ? outcome : formatNumber(samplesPerSecond),
    hostBytes === null ? '-' : formatBytes(hostBytes),
    `${shuffles === false ? 'in order; ' : ''}${evidence.slice(0, 80)}`,
  ]);
  const head = ['workers', 'prefetch', 'samples/s', 'host memory', ''];
  const said =
    recommended === null
      ? ['no number of workers worked']
      : [
          `workers ${recommended.workers}, prefetch ${recommended.prefetch}, pinned memory ${recommended.pinMemory ? 'on' : 'off'}: ${recommended.why}`,
          `DataLoader(..., num_workers=${recommended.workers}${recommended.workers > 0 ? `, prefetch_factor=${recommended.prefetch}, persistent_workers=True` : ''}, pin_memory=${recommended.pinMemory ? 'True' : 'False'})`,
        ];
  return [...said, '', table(head, rows)].join('\n');
}
