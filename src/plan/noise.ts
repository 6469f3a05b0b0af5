/** The gradient noise scale from squared gradient norms at two batch sizes. McCandlish et al. 2018, appendix A.1. */
import { createRandom } from '../random.js';
import { tradeoff } from './scaling.js';

/** Squared gradient norms of one training step: of a small batch (or the mean over several) and of a big one. */
export interface NormSample {
  small: number;
  big: number;
}

export interface NoiseEstimate {
  /** tr(Sigma) / |G|^2 in samples; null where the samples do not separate the gradient from its noise. */
  noiseScale: { value: number; low: number; high: number } | null;
  /** |G|^2 and tr(Sigma), each averaged over the samples; |G|^2 may come out negative when there are too few. */
  gradientSqNorm: number;
  trace: number;
  samples: number;
  /** Whether the interval of |G|^2 stays above 0. */
  enough: boolean;
  /** The noise scale of the later half over that of the earlier half; null where a half has no value. */
  drift: number | null;
}

/**
 * Unbiased |G|^2 and tr(Sigma) of one step:
 * |G|^2 = (B |G_B|^2 - b |G_b|^2) / (B - b), tr(Sigma) = (|G_b|^2 - |G_B|^2) / (1/b - 1/B).
 */
export function separate({ small, big }: NormSample, smallBatch: number, bigBatch: number): { squaredNorm: number; trace: number } {
  return {
    squaredNorm: (bigBatch * big - smallBatch * small) / (bigBatch - smallBatch),
    trace: (small - big) / (1 / smallBatch - 1 / bigBatch),
  };
}

/** K micro batches of one step as a sample: the mean of their squared norms, and the squared norm of their mean gradient. */
export function fromMicroBatches(microSqNorms: number[], meanSqNorm: number): NormSample {
  return { small: microSqNorms.reduce((sum, norm) => sum + norm, 0) / microSqNorms.length, big: meanSqNorm };
}

/** Below this the bootstrap has too few different samples to draw from. */
const FEWEST_SAMPLES = 8;
const RESAMPLES = 2000;
const LEVEL = 0.95;
const MOST_BLOCKS = 1000;

export interface NoiseRequest {
  samples: NormSample[];
  smallBatch: number;
  bigBatch: number;
  /** Seed of the bootstrap. */
  seed?: number;
}

/**
 * Averages numerator and denominator apart and divides last: the ratio of one step is biased and often negative. The
 * interval is the percentile bootstrap over steps at 95 %; without a clearly positive |G|^2 there is no value at all.
 */
export function estimateNoiseScale({ samples, smallBatch, bigBatch, seed = 1 }: NoiseRequest): NoiseEstimate {
  const parts = samples
    .filter(({ small, big }) => Number.isFinite(small) && Number.isFinite(big))
    .map((sample) => separate(sample, smallBatch, bigBatch));
  const { squaredNorm, trace } = average(parts, (index) => index);
  const base = { gradientSqNorm: squaredNorm, trace, samples: parts.length, drift: driftOf(parts) };
  if (parts.length < FEWEST_SAMPLES || !(squaredNorm > 0) || !(trace > 0)) return { ...base, noiseScale: null, enough: false };
  const random = createRandom(seed);
  const blocks = intoBlocks(parts);
  const resampled = Array.from({ length: RESAMPLES }, () => average(blocks, () => Math.floor(random() * blocks.length)));
  const tail = (1 - LEVEL) / 2;
  const lowestNorm = quantile(resampled.map((part) => part.squaredNorm).sort(ascending), tail);
  if (!(lowestNorm > 0)) return { ...base, noiseScale: null, enough: false };
  const ratios = resampled
    .map((part) => (part.squaredNorm > 0 ? Math.max(0, part.trace / part.squaredNorm) : Number.POSITIVE_INFINITY))
    .sort(ascending);
  return {
    ...base,
    noiseScale: { value: trace / squaredNorm, low: quantile(ratios, tail), high: quantile(ratios, 1 - tail) },
    enough: true,
  };
}

type Part = { squaredNorm: number; trace: number };

function average(parts: Part[], pick: (index: number) => number): Part {
  let squaredNorm = 0;
  let trace = 0;
  for (let index = 0; index < parts.length; index++) {
    const part = parts[pick(index)]!;
    squaredNorm += part.squaredNorm;
    trace += part.trace;
  }
  const count = Math.max(1, parts.length);
  return { squaredNorm: squaredNorm / count, trace: trace / count };
}

/** Long logs are resampled by blocks of neighbouring steps, which also keeps what correlation they have. */
function intoBlocks(parts: Part[]): Part[] {
  const size = Math.ceil(parts.length / MOST_BLOCKS);
  if (size === 1) return parts;
  return Array.from({ length: Math.floor(parts.length / size) }, (_, block) =>
    average(parts.slice(block * size, (block + 1) * size), (index) => index),
  );
}

function driftOf(parts: Part[]): number | null {
  if (parts.length < 2 * FEWEST_SAMPLES) return null;
  const half = Math.floor(parts.length / 2);
  const [early, late] = [parts.slice(0, half), parts.slice(-half)].map((section) => average(section, (index) => index)) as [Part, Part];
  const valid = [early, late].every(({ squaredNorm, trace }) => squaredNorm > 0 && trace > 0);
  return valid ? late.trace / late.squaredNorm / (early.trace / early.squaredNorm) : null;
}

const ascending = (a: number, b: number) => a - b;

/** Linear between the two nearest ranks of ascending values. */
function quantile(sorted: number[], share: number): number {
  const position = share * (sorted.length - 1);
  const below = Math.floor(position);
  const [a, b] = [sorted[below]!, sorted[Math.ceil(position)]!];
  return a === b ? a : a + (b - a) * (position - below);
}

/** The noise scale predicts the critical batch to about an order of magnitude (McCandlish et al. 2018, table 1). */
const CRITICAL_SPREAD = Math.sqrt(10);

/** Critical batch from a noise scale, with the spread that published pairs of the two show. */
export function criticalBatch({ value, low, high }: { value: number; low: number; high: number }): {
  low: number;
  best: number;
  high: number;
} {
  return { low: low / CRITICAL_SPREAD, best: value, high: high * CRITICAL_SPREAD };
}

export interface TradeoffRow {
  batch: number;
  /** Steps to a target over the fewest possible, 1 + Bcrit / B. */
  relativeSteps: number;
  /** Samples to a target over the fewest possible, 1 + B / Bcrit. */
  relativeSamples: number;
}

/** Powers of two from a sixteenth of the noise scale to sixteen times it, with the noise scale itself rounded in. */
export function tradeoffTable(noiseScale: number): TradeoffRow[] {
  const middle = Math.max(0, Math.round(Math.log2(noiseScale)));
  const exponents = [-4, -3, -2, -1, 0, 1, 2, 3, 4].map((offset) => middle + offset).filter((exponent) => exponent >= 0);
  return exponents.map((exponent) => {
    const batch = 2 ** exponent;
    const { steps, samples } = tradeoff(batch / noiseScale);
    return { batch, relativeSteps: steps, relativeSamples: samples };
  });
}
