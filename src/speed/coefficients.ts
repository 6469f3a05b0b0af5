/** Names and meaning of the fitted constants; their values are in constants.ts. */

/**
 * How a kernel's time follows from what it has to do. Factors multiply the least possible time (operations over the peak
 * rate, bytes over the bandwidth); widths are elements at which a size costs as much again as it is large.
 */
export interface Coefficients {
  /** Products and dense convolutions on matrix units. */
  matrixCompute: number;
  /** Peak rate that each watt of board power sustains, in operations per second: above it clocks fall. */
  sustainedFlopsPerWatt: number;
  /** Output columns that a tile is filled up by, seconds that a tile takes beside its products, and waves of tiles lost. */
  columnOverhead: number;
  tileSeconds: number;
  waveOverhead: number;
  batchedMatmulCompute: number;
  attentionCompute: number;
  /** Grouped convolutions: a fixed factor, and one that falls with the channels of a group. */
  groupedCompute: number;
  groupedWidth: number;
  packedGroupedCompute: number;
  packedGroupedWidth: number;
  fallbackGroupedCompute: number;
  fallbackGroupedWidth: number;
  /** Depthwise convolutions on vector units, by layout; filters too large for the libraries' kernels fall back. */
  depthwiseCompute: number;
  depthwiseMemory: number;
  depthwisePlanarMemory: number;
  largeDepthwiseCompute: number;
  largeDepthwisePlanarCompute: number;
  convolutionMemory: number;
  /** Output channels at which a dense convolution moves its bytes at half the speed. */
  narrowConvolution: number;
  /** Half-precision convolutions of planar (NCHW) tensors move them to channels-last and back. */
  planarMemory: number;
  /** Channels that are no multiple of 8 in channels-last tensors. */
  misalignedCompute: number;
  misalignedMemory: number;
  matmulMemory: number;
  batchedMatmulMemory: number;
  streamingMemory: number;
  batchNormMemory: number;
  layerNormMemory: number;
  /** Normalized elements at which a layer norm takes twice as long for each of them. */
  narrowNorm: number;
  groupNormMemory: number;
  softmaxMemory: number;
  joiningMemory: number;
  reorderingMemory: number;
  reductionMemory: number;
  poolingMemory: number;
  indexingMemory: number;
  /** Seconds that a kernel takes at least on the device, and to be launched by the program. */
  kernelSeconds: number;
  launchSeconds: number;
  /** Share of communication that does not hide behind backward. */
  exposedCommunication: number;
}
