/** How fast the planned run will be and what it will cost, as far as the speed is known. */
import type { Source } from '../units.js';
import type { BatchSplit } from './batch.js';
import { stepSecondsOf } from './candidates.js';
import type { StepCount } from './schedule.js';
import { findKnee, type SpeedCurve, stepTimeAt } from './throughput.js';
import type { PlannedThroughput } from './training-plan.js';

export interface ThroughputRequest {
  split: BatchSplit;
  curve: SpeedCurve | null;
  maxMicro: number;
  steps: StepCount | null;
  sequence: number | null;
  /** Price of all devices together, in the user's currency. */
  pricePerHour: number | null;
}

/** Every field is null where neither a measurement nor a prediction says it; nothing is made up. */
export function foreseeThroughput({ split, curve, maxMicro, steps, sequence, pricePerHour }: ThroughputRequest): PlannedThroughput {
  const stepSeconds = stepSecondsOf(curve, split);
  const point = stepTimeAt(curve, split.micro);
  const samplesPerSecond = stepSeconds === null ? null : split.effective / stepSeconds;
  const times = (seconds: number | null, factor: number | null) => (seconds === null || factor === null ? null : seconds * factor);
  const secondsPerEpoch = times(stepSeconds, steps === null ? null : steps.microBatchesPerEpoch / split.accumulation);
  const totalSeconds = times(stepSeconds, steps?.totalSteps ?? null);
  const perSecond = pricePerHour === null ? null : pricePerHour / 3600;
  return {
    stepSeconds,
    samplesPerSecond,
    tokensPerSecond: times(samplesPerSecond, sequence),
    knee: findKnee(curve, maxMicro),
    secondsPerEpoch,
    costPerEpoch: times(secondsPerEpoch, perSecond),
    totalSeconds,
    totalCost: times(totalSeconds, perSecond),
    source: point === null ? null : sourceOf(point.source, split),
    why: point === null ? 'not known: measure it with --probe' : explain(point.source, split),
  };
}

function explain(source: Source, { replicas, accumulation }: BatchSplit): string {
  if (source === 'estimated' || source === 'assumed') {
    const from = source === 'assumed' ? 'typical rates of such a device' : "the device's rates";
    return `predicted from the model's kernels and ${from}; measure it with --probe`;
  }
  if (replicas > 1) return `${replicas} times one device, without the time of communication`;
  return accumulation > 1 ? `${accumulation} passes of one measured step each` : 'one step at this micro batch';
}

/** Several devices or passes are put together from one device's step: no longer what was measured. */
function sourceOf(source: Source, { replicas, accumulation }: BatchSplit): Source {
  if (source === 'estimated' || source === 'assumed') return source;
  return replicas > 1 ? 'estimated' : accumulation > 1 ? 'calibrated' : source;
}
