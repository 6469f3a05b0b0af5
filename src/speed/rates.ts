/** What a device can do at most: the rates that a prediction is relative to. */
import { UndeterminedError } from '../errors.js';
import type { DeviceProfile, RateDtype, TargetDevice } from '../machine/machine.js';
import type { Precision } from '../setup.js';
import type { ElementType, Kernel } from '../trace/index.js';

export interface Rates {
  /** From the device's profile; false for a CPU, whose rates are assumed. */
  known: boolean;
  /** Dense operations per second of a product in this type. */
  matrix(kernel: Pick<Kernel, 'type' | 'kind'>): number;
  /** Operations per second outside matrix units. */
  vector: number;
  bytesPerSecond: number;
  /** Watts of the board, null where not known. */
  watts: number | null;
  /** Bytes per second to other devices of the same machine, one direction. */
  linkBytesPerSecond: number;
  /** Processors that each work on a tile of a product at a time, null where the device is not made of such. */
  multiprocessors: number | null;
  /** Whether kernels are launched from a program on another processor. */
  launches: boolean;
  /** [rows, columns] that a compiler pads the two minor dimensions to, null where it does not. */
  tile: [number, number] | null;
}

/** Between devices without a link of their own: PCIe 4.0 x16, one direction. */
const DEFAULT_LINK = 31.5e9;

/** What is not known of a CPU: a server's eight cores with AVX2 at 3 GHz, two channels of memory. */
const ASSUMED_CPU = { cores: 8, vector: 'avx2', hertz: 3e9, bandwidthBytesPerSecond: 40e9 } as const;

/**
 * FP32 operations of a core in a cycle: two units that multiply and add 8 numbers (AVX2), 16 (AVX-512) or 4 (NEON) at once.
 * Intel 64 and IA-32 Architectures Optimization Reference Manual; AMD, Software Optimization Guide for the 19h family; Arm
 * Neoverse N1 Software Optimization Guide. Some Xeons have one unit of AVX-512, some Arm cores four of NEON: nothing tells.
 */
const VECTOR_OPERATIONS = { avx2: 32, avx512: 64, neon: 16 };

/** BF16 operations of a core's AMX in a cycle, and of AVX-512 beside FP32: VDPBF16PS does two products a lane. Same manuals. */
const AMX_OPERATIONS = 1024;
const BF16_PER_FP32 = 2;

/** The device's rates for a precision. Throws UndeterminedError where its profile lacks them; a CPU's are assumed. */
export function ratesOf(target: TargetDevice, precision: Precision): Rates {
  const { profile } = target;
  const known = Boolean(profile?.bandwidthBytesPerSecond && Object.keys(profile.peakFlops).length > 0);
  if (!known && target.kind !== 'cpu') {
    throw new UndeterminedError(
      'NO_RATES',
      `${target.name}: its peak rates are not known, so its speed cannot be predicted`,
      'measure it instead: batchfit probe --curve',
    );
  }
  const { peakFlops: peak, bandwidthBytesPerSecond } = known ? (profile as DeviceProfile) : assumedCpu(target);
  const share = shareOf(target);
  const vector = peak.fp32 ?? Math.min(...Object.values(peak));
  const rate = (types: RateDtype[]): number =>
    types.map((type) => (peak as DeviceProfile['peakFlops'])[type]).find((value) => value !== undefined) ?? vector;
  // cuDNN may round float32 convolutions to TF32 by default where the hardware can (torch.backends.cudnn.allow_tf32).
  const single = (kind: string): number => rate(precision === 'tf32' || kind === 'convolution' ? ['tf32', 'fp32'] : ['fp32']);
  const byType: Partial<Record<ElementType, number>> = { float16: rate(['fp16', 'bf16']), bfloat16: rate(['bf16', 'fp32']) };
  const watts = profile?.powerWatts ?? null;
  return {
    known,
    matrix: ({ type, kind }) => share * (byType[type] ?? single(kind)),
    vector: share * vector,
    bytesPerSecond: share * (bandwidthBytesPerSecond as number),
    watts: watts === null ? null : share * watts,
    linkBytesPerSecond: profile?.interconnect?.bytesPerSecond ?? DEFAULT_LINK,
    multiprocessors: target.multiprocessors ?? profile?.multiprocessors ?? null,
    launches: target.kind !== 'cpu',
    tile: profile?.tileElements ?? null,
  };
}

/** Rates of a CPU without a profile: what its cores can do in a cycle, as far as it is known. */
function assumedCpu({ multiprocessors, core }: TargetDevice): Pick<DeviceProfile, 'peakFlops' | 'bandwidthBytesPerSecond'> {
  const { cores, vector, hertz, bandwidthBytesPerSecond } = ASSUMED_CPU;
  const cycles = (multiprocessors ?? cores) * (core?.hertz ?? hertz);
  const operations = VECTOR_OPERATIONS[core?.vector ?? vector];
  const fp32 = cycles * operations;
  // What multiplies bfloat16 does not multiply float16.
  const halves = core?.bf16 ? { bf16: cycles * (core.bf16 === 'amx' ? AMX_OPERATIONS : BF16_PER_FP32 * operations), fp16: fp32 } : {};
  return { peakFlops: { fp32, ...halves }, bandwidthBytesPerSecond };
}

/** A slice of a device has its share of everything. */
function shareOf(target: TargetDevice): number {
  const whole = target.profile?.multiprocessors;
  return whole && target.multiprocessors ? Math.min(1, target.multiprocessors / whole) : 1;
}

/** The rate that model FLOPs utilization is relative to: that of the precision's products. */
export function headlineRate(rates: Rates, precision: Precision): number {
  const type = precision.endsWith('bf16') ? 'bfloat16' : precision.endsWith('fp16') ? 'float16' : 'float32';
  return rates.matrix({ type, kind: precision === 'tf32' ? 'convolution' : 'matmul' });
}
