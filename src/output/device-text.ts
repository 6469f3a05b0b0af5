/** Device profiles for people. */
import type { DeviceProfile } from '../machine/machine.js';
import { formatBytes } from '../units.js';
import { table } from './tables.js';

/** One line: "NVIDIA Ampere 8.6, 24.00 GiB, 936 GB/s, bf16 71.2 TFLOPS". */
export function summarizeDevice(profile: DeviceProfile): string {
  const { vendor, architecture, computeCapability, memory, bandwidthBytesPerSecond, peakFlops } = profile;
  const rate = peakFlops.bf16 ? `bf16 ${teraflops(peakFlops.bf16)}` : peakFlops.fp16 ? `fp16 ${teraflops(peakFlops.fp16)}` : '';
  return [
    [vendor, architecture, computeCapability].filter(Boolean).join(' '),
    memory.totalBytes === null ? '' : formatBytes(memory.totalBytes) + (memory.unified ? ' shared' : ''),
    bandwidthBytesPerSecond === null ? '' : `${Math.round(bandwidthBytesPerSecond / 1e9)} GB/s`,
    rate,
  ]
    .filter(Boolean)
    .join(', ');
}

/** Every figure of a profile with where it is from. */
export function renderDevice(profile: DeviceProfile): string {
  const { memory, interconnect } = profile;
  const figures: Array<[string, string | null, string]> = [
    ['memory', memory.totalBytes === null ? null : formatBytes(memory.totalBytes), 'memory.totalBytes'],
    ['usable by one process', memory.usableBytes === null ? null : formatBytes(memory.usableBytes), 'memory.usableBytes'],
    [
      'bandwidth',
      profile.bandwidthBytesPerSecond === null ? null : `${(profile.bandwidthBytesPerSecond / 1e9).toFixed(0)} GB/s`,
      'bandwidthBytesPerSecond',
    ],
    ...Object.entries(profile.peakFlops).map(([dtype, rate]): [string, string, string] => [`peak ${dtype}`, teraflops(rate), 'peakFlops']),
    ['multiprocessors', profile.multiprocessors?.toString() ?? null, 'multiprocessors'],
    ['compute capability', profile.computeCapability, 'computeCapability'],
    [
      'interconnect',
      interconnect &&
        [interconnect.name, interconnect.bytesPerSecond && `${interconnect.bytesPerSecond / 1e9} GB/s`].filter(Boolean).join(', '),
      'interconnect',
    ],
    ['power', profile.powerWatts === null ? null : `${profile.powerWatts} W`, 'powerWatts'],
  ];
  const rows = figures
    .filter(([, figure]) => figure !== null)
    .map(([label, figure, field]) => [label, figure ?? '', profile.sources[field] ?? '']);
  return [
    `${profile.name}: ${[profile.vendor, profile.architecture].filter(Boolean).join(' ')} (${profile.kind})`,
    ...(profile.aliases.length > 0 ? [`also ${profile.aliases.join(', ')}`] : []),
    ...(rows.length > 0 ? ['', table(['figure', 'value', 'source'], rows, { align: ['left', 'right', 'left'] })] : []),
    ...(profile.notes ? ['', profile.notes] : []),
  ].join('\n');
}

function teraflops(rate: number): string {
  return `${Number((rate / 1e12).toPrecision(3))} TFLOPS`;
}
