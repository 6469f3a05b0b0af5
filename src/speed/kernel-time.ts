/** Time of one kernel on a device: a roofline with the efficiencies of its class. */
import type { Seconds } from '../units.js';
import type { Coefficients } from './coefficients.js';
import type { KernelClass } from './kernel-class.js';
import type { Rates } from './rates.js';

/** A kernel as its time depends on it. */
export interface Work {
  class: KernelClass;
  /** Operations that are done, and the rate that they are relative to. */
  operations: number;
  bytes: number;
  /** Output columns and summed elements of the product that it amounts to; 0 where it is none. */
  columns: number;
  inner: number;
  /** Mean channels of a group. */
  width: number;
  half: boolean;
  /** Half-precision convolution of planar tensors. */
  planar: boolean;
  misaligned: boolean;
}

export interface KernelTime {
  compute: Seconds;
  memory: Seconds;
  total: Seconds;
}

/** Compute and memory overlap, though not wholly: their maximum, and 26 % more where they are equal. */
const overlapped = (compute: Seconds, memory: Seconds): Seconds => Math.cbrt(compute ** 3 + memory ** 3);

export function kernelTime(work: Work, matrixRate: number, rates: Rates, c: Coefficients): KernelTime {
  const rate = usesVectors(work) ? rates.vector : sustained(matrixRate, rates, c);
  const compute = work.operations === 0 ? 0 : (work.operations / rate) * computeFactor(work, c) * padding(work, rates);
  const memory = (work.bytes / rates.bytesPerSecond) * memoryFactor(work, c);
  return { compute, memory, total: overlapped(compute, memory) + (rates.launches ? c.kernelSeconds : 0) };
}

/** What the board's power allows of the peak rate: both limits as resistances in a row. */
export function sustained(rate: number, rates: Rates, c: Coefficients): number {
  return rates.watts === null ? rate : 1 / (1 / rate + 1 / (c.sustainedFlopsPerWatt * rates.watts));
}

/** Depthwise convolutions have no matrix to multiply; grouped ones go to matrix units in half precision alone. */
function usesVectors(work: Work): boolean {
  return work.class.endsWith('epthwiseConvolution') || (work.class === 'groupedConvolution' && !work.half);
}

/** What padding to whole tiles adds to a product's operations. */
function padding(work: Work, rates: Rates): number {
  if (!rates.tile || work.columns === 0) return 1;
  const lanes = rates.tile[1];
  const padded = (size: number): number => (Math.ceil(size / lanes) * lanes) / size;
  return padded(work.columns) * padded(work.inner);
}

function computeFactor(work: Work, c: Coefficients): number {
  const tile = work.columns > 0 ? (1 + c.columnOverhead / work.columns) * (1 + c.innerOverhead / work.inner) : 1;
  const misaligned = work.misaligned ? c.misalignedCompute : 1;
  switch (work.class) {
    case 'convolution':
    case 'matmul':
      return c.matrixCompute * tile * misaligned;
    case 'batchedMatmul':
      return c.batchedMatmulCompute * tile;
    case 'attention':
      return c.attentionCompute;
    case 'groupedConvolution':
      return c.groupedCompute + c.groupedWidth / work.width;
    case 'packedGroupedConvolution':
      return c.packedGroupedCompute + c.packedGroupedWidth / work.width;
    case 'fallbackGroupedConvolution':
      return c.fallbackGroupedCompute + c.fallbackGroupedWidth / work.width;
    case 'largeDepthwiseConvolution':
      return work.planar ? c.largeDepthwisePlanarCompute : c.largeDepthwiseCompute;
    default:
      return c.depthwiseCompute;
  }
}

function memoryFactor(work: Work, c: Coefficients): number {
  switch (work.class) {
    case 'convolution':
      return (
        (c.convolutionMemory + (work.planar ? c.planarMemory : 0)) *
        (1 + c.narrowConvolution / work.columns) *
        (work.misaligned ? c.misalignedMemory : 1)
      );
    case 'groupedConvolution':
    case 'packedGroupedConvolution':
    case 'fallbackGroupedConvolution':
      return c.convolutionMemory;
    case 'depthwiseConvolution':
    case 'largeDepthwiseConvolution':
      return work.planar ? c.depthwisePlanarMemory : c.depthwiseMemory;
    case 'matmul':
      return c.matmulMemory;
    case 'batchedMatmul':
    case 'attention':
      return c.batchedMatmulMemory;
    default:
      return c[`${work.class}Memory`];
  }
}
