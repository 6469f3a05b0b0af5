/** How far a learning rate may be off: the other published rules' answers, and what is known about a tuned rate's neighbours. */
import { roundOff } from './advice.js';
import type { OptimizerFamily } from './optimizer.js';
import { adaScaleGain, surgeFactor } from './scaling.js';

export interface RangeRequest {
  value: number;
  family: OptimizerFamily;
  /** Effective batch in samples. */
  batch: number;
  /** effective batch / reference batch, null when the reference has no batch. */
  kappa: number | null;
  reference: { batch: number | null; learningRate: number };
  noiseScale: number | null;
}

/** Half and double of a tuned rate cost at most 0.6 points of ImageNet top-1 at 256 and at 8192: Goyal et al. 2017, table 2a. */
const NEIGHBOUR = 2;
/** A framework's default was made for no model: one decade each way is where searches start. */
const DEFAULT_SPREAD = 10;
/** Marek et al. 2025 (arXiv 2507.07101): from batch 1 to 1024 Adam needs about 3 times the rate, not 32 times. */
const SLOW_EXPONENT = Math.log(3) / Math.log(1024);

/**
 * The range that the literature leaves: between the square-root and the linear rule for SGD, between Marek's slow growth
 * and the linear rule for Adam (McCandlish et al. 2018: an exponent of 0.5 to 1), with the AdaScale gain where the noise
 * scale is known, and Adam's fall beyond it (the surge of Li et al. 2024, counted from the capped rate).
 */
export function rateRange({ value, family, batch, kappa, reference, noiseScale }: RangeRequest): { low: number; high: number } {
  if (kappa === null) return { low: value / DEFAULT_SPREAD, high: value * DEFAULT_SPREAD };
  const factors = kappa === 1 || family === 'layer-wise' ? [] : family === 'sgd' ? [kappa ** 0.5, kappa] : [kappa ** SLOW_EXPONENT, kappa];
  if (noiseScale !== null && reference.batch !== null && family !== 'layer-wise') {
    const gain = adaScaleGain(kappa, noiseScale / reference.batch, 1);
    factors.push(family === 'sgd' ? gain : Math.sqrt(gain));
  }
  const surge = family === 'adaptive' && noiseScale !== null && batch > noiseScale ? surgeFactor(batch / noiseScale) : 1;
  const rates = [(value * surge) / NEIGHBOUR, value * NEIGHBOUR, ...factors.map((factor) => factor * reference.learningRate)];
  return { low: roundOff(Math.min(...rates)), high: roundOff(Math.max(...rates)) };
}
