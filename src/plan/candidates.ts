/** Other batches beside the recommended one, with what each costs in steps, samples and time. */
import type { Seconds } from '../units.js';
import { type BatchSplit, splitBatch } from './batch.js';
import { tradeoff } from './scaling.js';
import { rateAt, type SpeedCurve, stepTimeAt } from './throughput.js';

export interface Candidate {
  micro: number;
  accumulation: number;
  effective: number;
  learningRate: number | null;
  /** Seconds of one update: all its micro batches. */
  stepSeconds: Seconds | null;
  samplesPerSecond: number | null;
  /** Time to one target loss over that of the recommended batch; needs the noise scale and the speed. */
  relativeTimeToTarget: number | null;
  /** Samples to one target loss over the fewest possible, 1 + B / noise scale; needs the noise scale. */
  relativeCompute: number | null;
  fits: boolean;
  recommended: boolean;
}

export interface CandidateRequest {
  chosen: BatchSplit;
  maxMicro: number;
  maxAccumulated: number;
  datasetSize: number | null;
  curve: SpeedCurve | null;
  noiseScale: number | null;
  learningRateAt: (effective: number) => number | null;
}

/** Seconds of one update of a split: `accumulation` passes, and once what comes once an update where it is known apart. */
export function stepSecondsOf(
  curve: SpeedCurve | null,
  { micro, accumulation }: Pick<BatchSplit, 'micro' | 'accumulation'>,
): Seconds | null {
  const time = stepTimeAt(curve, micro);
  if (time === null) return null;
  const once = Math.min(curve?.updateSeconds ?? 0, time.seconds);
  return (time.seconds - once) * accumulation + once;
}

/**
 * The recommended batch, a quarter, half, double and four times it, and, where the recommended one accumulates, the same
 * batch in one pass, which does not fit. Ascending in the effective batch.
 */
export function listCandidates(request: CandidateRequest): Candidate[] {
  const { chosen, maxMicro, maxAccumulated, datasetSize, curve } = request;
  const targets = [1 / 4, 1 / 2, 2, 4].map((factor) => chosen.effective * factor);
  const sensible = targets.filter(
    (target) => Number.isInteger(target) && target >= chosen.replicas && (datasetSize === null || target <= datasetSize),
  );
  const splits = sensible.map((target) =>
    splitBatch({ target, replicas: chosen.replicas, maxMicro, maxAccumulated, rate: (micro) => rateAt(curve, micro) }),
  );
  const inOnePass = { ...chosen, micro: chosen.effective / chosen.replicas, accumulation: 1 };
  const all = [...splits, chosen, ...(chosen.accumulation > 1 && inOnePass.micro > maxMicro ? [inOnePass] : [])];
  const seen = new Set<string>();
  return all
    .filter(({ micro, accumulation }) => !seen.has(`${micro}x${accumulation}`) && seen.add(`${micro}x${accumulation}`))
    .sort((a, b) => a.effective - b.effective || a.micro - b.micro)
    .map((split) => describe(split, split === chosen, request));
}

function describe(
  split: BatchSplit,
  recommended: boolean,
  { maxMicro, maxAccumulated, curve, noiseScale, learningRateAt, chosen }: CandidateRequest,
): Candidate {
  const fits = split.micro <= (split.accumulation > 1 ? maxAccumulated : maxMicro);
  const stepSeconds = fits ? stepSecondsOf(curve, split) : null;
  const own = timeToTarget(split, stepSeconds, noiseScale);
  const reference = timeToTarget(chosen, stepSecondsOf(curve, chosen), noiseScale);
  return {
    micro: split.micro,
    accumulation: split.accumulation,
    effective: split.effective,
    learningRate: learningRateAt(split.effective),
    stepSeconds,
    samplesPerSecond: stepSeconds === null ? null : split.effective / stepSeconds,
    relativeTimeToTarget: own === null || reference === null ? null : own / reference,
    relativeCompute: noiseScale === null ? null : tradeoff(split.effective / noiseScale).samples,
    fits,
    recommended,
  };
}

/** Proportional to steps to the target, 1 + noise scale / B, times the seconds of a step (McCandlish et al. 2018). */
function timeToTarget(split: BatchSplit, stepSeconds: Seconds | null, noiseScale: number | null): number | null {
  return stepSeconds === null || noiseScale === null ? null : tradeoff(split.effective / noiseScale).steps * stepSeconds;
}
