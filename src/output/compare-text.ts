/** The comparison for people: one row a device, and bars of throughput. */
import type { z } from 'zod';
import type { document } from './documents/compare.js';
import { table } from './tables.js';

type CompareDocument = z.infer<typeof document>;
type Row = CompareDocument['rows'][number];

const BAR_WIDTH = 40;

export function renderComparison(answer: unknown): string {
  const { model, setup, datasetSize, flopsPerSample, rows } = answer as CompareDocument;
  const priced = rows.some((row) => row.costPerEpoch !== null);
  const columns: [string, (row: Row) => string][] = [
    ['device', (row) => row.device],
    ['fits', (row) => (row.fits ? 'yes' : 'no')],
    ['largest batch', (row) => String(row.maxBatch)],
    ['batch', (row) => dash(row.batch, String)],
    ['step', (row) => dash(row.stepSeconds, seconds)],
    ['samples/s', (row) => dash(row.samplesPerSecond, figure)],
    ['MFU', (row) => dash(row.mfu, (value) => `${(100 * value).toFixed(1)} %`)],
    ['limited by', (row) => row.limitedBy ?? '-'],
    ...(datasetSize === null ? [] : [['epoch', (row: Row) => dash(row.secondsPerEpoch, seconds)] as [string, (row: Row) => string]]),
    ...(priced ? [['cost', (row: Row) => dash(row.costPerEpoch, (value) => value.toFixed(2))] as [string, (row: Row) => string]] : []),
  ];
  const flops = flopsPerSample === null ? '' : `, ${figure(flopsPerSample / 1e9)} GFLOPs a sample`;
  return [
    `${model.name}, ${setup.precision}, ${setup.optimizer}${setup.gpus > 1 ? `, ${setup.gpus} devices` : ''}${flops}`,
    '',
    table(
      columns.map(([head]) => head),
      rows.map((row) => columns.map(([, cell]) => cell(row))),
    ),
    '',
    bars(rows),
    '',
    `predicted from the device's rates; ${unsure(rows)}measure with batchfit probe --curve`,
  ].join('\n');
}

function unsure(rows: Row[]): string {
  const assumed = rows.filter((row) => row.source === 'assumed' && row.stepSeconds !== null).map((row) => row.device);
  return assumed.length > 0 ? `rates of ${assumed.join(', ')} are assumed; ` : '';
}

/** Throughput as bars, the fastest the longest. */
function bars(rows: Row[]): string {
  const fastest = Math.max(0, ...rows.map((row) => row.samplesPerSecond ?? 0));
  const width = Math.max(...rows.map((row) => row.device.length));
  return rows
    .map(({ device, samplesPerSecond }) => {
      const length = fastest > 0 && samplesPerSecond ? Math.max(1, Math.round((BAR_WIDTH * samplesPerSecond) / fastest)) : 0;
      return `${device.padEnd(width)}  ${'#'.repeat(length)}${samplesPerSecond ? ` ${figure(samplesPerSecond)}` : '-'}`;
    })
    .join('\n');
}

function dash<T>(value: T | null, show: (value: T) => string): string {
  return value === null ? '-' : show(value);
}

function figure(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}

/** 0.0123 as "12.3 ms", 95 as "1 min 35 s", 7500 as "2 h 5 min". */
function seconds(value: number): string {
  if (value < 1) return `${(1000 * value).toPrecision(3)} ms`;
  if (value < 60) return `${value.toPrecision(3)} s`;
  const minutes = Math.floor(value / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(value % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
