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
  /** Output rows of all groups, columns, and summed elements of the product that it amounts to; 0 where it is none. */
  rows: number;
  columns: number;
  inner: number;
  /** Mean channels of a group. */
  width: number;
  /** Elements that are normalized together. */
  row: number;
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
  const compute = work.operations === 0 ? 0 : (work.operations / rate) * computeFactor(work, rate, rates, c) * padding(work, rates);
  const memory = (work.bytes / rates.bytesPerSecond) * memoryFactor(work, c);
  return { compute, memory, total: overlapped(compute, memory) + (rates.launches ? c.kernelSeconds : 0) };
}

/** What the board's power allows of the peak rate: the lower of both limits decides, a little less where they are near. */
export function sustained(rate: number, rates: Rates, c: Coefficients): number {
  return rates.watts === null ? rate : (rate ** -4 + (c.sustainedFlopsPerWatt * rates.watts) ** -4) ** -0.25;
}

/** Depthwise convolutions have no matrix to multiply; grouped ones go to matrix units in half precision alone. */
function usesVectors(work: Work): boolean {
  return work.class.endsWith('epthwiseConvolution') || (work.class === 'groupedConvolution' && !work.half);
}

/** Rows of a compiler's tile, which is given for elements of four bytes: those of two bytes lie in pairs. */
export const tileRows = (rows: number, half: boolean): number => (half ? 2 * rows : rows);

/** What padding to whole tiles adds to a product's operations. */
function padding(work: Work, rates: Rates): number {
  if (!rates.tile || work.columns === 0) return 1;
  const [sublanes, lanes] = rates.tile;
  const padded = (size: number, unit: number): number => (Math.ceil(size / unit) * unit) / size;
  return padded(work.rows, tileRows(sublanes, work.half)) * padded(work.columns, lanes) * padded(work.inner, lanes);
}

/** Rows and columns of the tile that one multiprocessor works on (CUTLASS's most common). */
const TILE = 128;

/**
 * What a product loses to its tiles: narrow ones are filled up, each takes time to fill its pipeline and to write its
 * result, however fast it multiplies, and the last wave of tiles leaves processors idle.
 */
function tiling(work: Work, rate: number, rates: Rates, c: Coefficients): number {
  if (work.columns === 0) return 1;
  const filled = 1 + c.columnOverhead / work.columns;
  if (!rates.multiprocessors) return filled;
  const elementsPerSecond = rate / rates.multiprocessors / (2 * TILE * TILE);
  const started = 1 + (c.tileSeconds * elementsPerSecond) / work.inner;
  // Where there are too few tiles for all, libraries choose smaller ones or split the sums.
  const waves = Math.max(1, (work.rows * work.columns) / (TILE * TILE) / rates.multiprocessors);
  return filled * started * (1 + c.waveOverhead / waves);
}

function computeFactor(work: Work, rate: number, rates: Rates, c: Coefficients): number {
  const tile = tiling(work, rate, rates, c);
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

/** Output channels below which a convolution does not get slower: kernels take at least so many. */
const NARROWEST = 16;

function memoryFactor(work: Work, c: Coefficients): number {
  switch (work.class) {
    case 'convolution':
      return (
        (c.convolutionMemory + (work.planar ? c.planarMemory : 0)) *
        (1 + c.narrowConvolution / Math.max(work.columns, NARROWEST)) *
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
    case 'layerNorm':
      return c.layerNormMemory * (1 + c.narrowNorm / work.row);
    default:
      return c[`${work.class}Memory`];
  }
}
