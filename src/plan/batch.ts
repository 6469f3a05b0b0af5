/** How an effective batch is divided over micro batches, accumulation and replicas. Whole numbers only, nothing estimated. */

export interface BatchSplit {
  /** Samples in one forward pass on one replica. */
  micro: number;
  /** Forward-backward passes per optimizer update. */
  accumulation: number;
  /** Data-parallel copies of the model. */
  replicas: number;
  /** micro * accumulation * replicas: the samples behind one update. */
  effective: number;
  /** effective - target; 0 when the target is met exactly. */
  residue: number;
}

export interface BatchRequest {
  /** Wanted effective batch, at least 1. */
  target: number;
  replicas: number;
  /** Largest micro batch that fits in one pass, at least 1. */
  maxMicro: number;
  /** The same where gradients are kept over several passes, which takes more memory; 0 when none does. Default: maxMicro. */
  maxAccumulated?: number;
  /** Samples per second at a micro batch where it is known; decides between micro batches that divide the target. */
  rate?: (micro: number) => number | null;
}

/** A divisor below this share of the even split makes so many passes that a residue is the lesser evil (a prime target). */
const SMALLEST_SHARE = 1 / 4;
/** Rates closer than this are one rate; the larger micro batch then wins, since it makes fewer passes. */
const RATE_TIE = 0.05;

/**
 * Divides `target` into micro * accumulation * replicas with micro within its limits. Lowers micro rather than miss the
 * target; where that would make it tiny, or replicas do not divide the target, takes the nearest batch and names the residue.
 */
export function splitBatch({ target, replicas, maxMicro, maxAccumulated = maxMicro, rate }: BatchRequest): BatchSplit {
  const perReplica = Math.max(1, Math.round(target / replicas));
  const split = (micro: number, accumulation: number): BatchSplit => {
    const effective = micro * accumulation * replicas;
    return { micro, accumulation, replicas, effective, residue: effective - target };
  };
  if (maxAccumulated < 1) return split(Math.min(perReplica, maxMicro), 1);
  const limit = (micro: number) => (micro === perReplica ? maxMicro : maxAccumulated);
  const fewestPasses = perReplica <= maxMicro ? 1 : Math.ceil(perReplica / maxAccumulated);
  const even = perReplica / fewestPasses;
  const divisors = divisorsOf(perReplica).filter((micro) => micro <= limit(micro) && micro >= even * SMALLEST_SHARE);
  if (divisors.length > 0) {
    const micro = fastest(divisors, rate);
    return split(micro, perReplica / micro);
  }
  const near = [Math.floor(even), Math.ceil(even)].filter((micro) => micro >= 1 && micro <= maxAccumulated);
  const options = near.map((micro) => split(micro, fewestPasses));
  return options.reduce((best, next) => (Math.abs(next.residue) <= Math.abs(best.residue) ? next : best));
}

/** The micro batch with the highest known rate, the largest of those that tie; without rates the largest. */
function fastest(ascending: number[], rate: BatchRequest['rate']): number {
  const rated = ascending.flatMap((micro) => {
    const value = rate?.(micro) ?? null;
    return value === null ? [] : [{ micro, value }];
  });
  if (rated.length < ascending.length) return ascending.at(-1)!;
  const best = Math.max(...rated.map((option) => option.value));
  return rated.filter((option) => option.value >= best * (1 - RATE_TIE)).at(-1)!.micro;
}

/** All divisors of a positive whole number, ascending. */
export function divisorsOf(value: number): number[] {
  const low: number[] = [];
  const high: number[] = [];
  for (let divisor = 1; divisor * divisor <= value; divisor++) {
    if (value % divisor !== 0) continue;
    low.push(divisor);
    if (divisor * divisor !== value) high.unshift(value / divisor);
  }
  return [...low, ...high];
}

export type Regime = 'stochastic' | 'mini-batch' | 'full-batch';

/** Which kind of gradient descent an effective batch is on a data set of N samples; N null when it is not known. */
export function classifyRegime(effective: number, datasetSize: number | null): Regime {
  if (datasetSize !== null && effective >= datasetSize) return 'full-batch';
  return effective === 1 ? 'stochastic' : 'mini-batch';
}
