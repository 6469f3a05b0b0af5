/** Measures for `plan --probe`: what fits and how fast, started from the plan that the estimate alone makes. */
import type { Warning } from '../../errors.js';
import type { TargetDevice } from '../../machine/machine.js';
import type { ModelGraph } from '../../model/graph.js';
import type { SpeedCurve } from '../../plan/throughput.js';
import type { ProbedLimit, TrainingPlan } from '../../plan/training-plan.js';
import { measuredPeak, type ProbeResult, probeBatch } from '../../probe/probe.js';
import type { Setup } from '../../setup.js';
import { type Bytes, parseBytes, parseSeconds, type Seconds } from '../../units.js';
import { chooseEngine, memoryCap, probeDevice } from './probe-request.js';

export const PLAN_ENGINES = ['torch', 'tfjs'] as const;
export type PlanEngine = (typeof PLAN_ENGINES)[number];

export interface MeasureOptions {
  engine: PlanEngine | undefined;
  /** What --device says: only devices of this machine can be measured. */
  device: string | undefined;
  /** A goal wants to know the speed of larger batches than the estimate would take. */
  goal: boolean;
  timeLimitSeconds: Seconds;
  memoryCapBytes: Bytes | null;
  signal: AbortSignal;
  progress: (text: string) => void;
}

/** The flags of `plan --probe`. Reading `signal` makes Ctrl-C end the probe and not the program, so ask only when probing. */
export function measureOptions(
  flags: {
    engine?: PlanEngine | undefined;
    device?: string | undefined;
    goal?: string | undefined;
    'time-limit'?: string | undefined;
    'memory-cap'?: string | undefined;
  },
  signal: AbortSignal,
  progress: (text: string) => void,
): MeasureOptions {
  return {
    engine: flags.engine,
    device: flags.device,
    goal: flags.goal !== undefined,
    timeLimitSeconds: parseSeconds(flags['time-limit'] ?? '5m', '--time-limit'),
    memoryCapBytes: flags['memory-cap'] === undefined ? null : parseBytes(flags['memory-cap'], '--memory-cap'),
    signal,
    progress,
  };
}

export interface Measured {
  probed: ProbedLimit | null;
  curve: SpeedCurve | null;
  warnings: Warning[];
}

/** Timed steps of a trial, after those that warm caches and allocators up. */
const STEPS = 5;
const WARMUP_STEPS = 2;
/** Largest batch to try when neither a target nor a recipe says how many samples are wanted. */
const MOST = 4096;

/** `draft` is the plan without measurements: it says how large a micro batch is worth trying, and whether it accumulates. */
export async function measure(
  graph: ModelGraph,
  setup: Setup,
  target: TargetDevice,
  draft: TrainingPlan,
  options: MeasureOptions,
): Promise<Measured> {
  const device = probeDevice(options.device);
  const engine = await chooseEngine(options.engine, [], graph.name);
  const { cap, warnings } = await memoryCap(options.memoryCapBytes, device ?? target.kind);
  const accumulated = (draft.batch?.accumulation ?? 1) > 1;
  const wanted = draft.batch === null ? null : draft.batch.effective / draft.batch.replicas;
  const maxBatch = options.goal || wanted === null ? MOST : wanted;
  const result = await probeBatch({
    engine,
    request: {
      model: { kind: 'graph', graph },
      sizes: {},
      setup: { ...setup, accumulation: accumulated ? 2 : 1 },
      device,
      steps: STEPS,
      warmupSteps: WARMUP_STEPS,
      timeoutSeconds: options.timeLimitSeconds / 3,
      memoryCapBytes: cap?.bytes ?? null,
    },
    start: Math.min(maxBatch, draft.batch?.micro ?? 1),
    limits: { maxBatch, timeLimitSeconds: options.timeLimitSeconds, resume: false, curve: true },
    signal: options.signal,
    onTrial: (batch, trial) =>
      options.progress(trial === null ? `${engine.name}: running batch ${batch}` : `${engine.name}: batch ${batch} ${trial.outcome}`),
  });
  return {
    probed: limitOf(result, accumulated),
    curve: curveOf(result),
    warnings: [...warnings, ...result.warnings, ...doubtsAbout(result)],
  };
}

/** Null when nothing was learned of what fits. */
function limitOf({ largest, verdict, trials }: ProbeResult, accumulated: boolean): ProbedLimit | null {
  if (largest === null && verdict !== 'nothing-fits') return null;
  return { largest: largest ?? 0, accumulated, peakBytes: Object.fromEntries(trials.map((trial) => [trial.batch, measuredPeak(trial)])) };
}

/** Rates count every sample of a step, so a micro batch over its rate is the time of one pass. */
function curveOf({ throughput }: ProbeResult): SpeedCurve | null {
  if (throughput.points.length === 0) return null;
  return {
    points: throughput.points.map(({ batch, samplesPerSecond }) => ({ batch, stepSeconds: batch / samplesPerSecond, source: 'measured' })),
  };
}

function doubtsAbout({ verdict, reason, largest }: ProbeResult): Warning[] {
  if (verdict !== 'inconclusive') return [];
  const used = largest === null ? 'the estimate is used instead' : `${largest} is the largest that was seen to fit`;
  return [
    {
      code: 'PROBE_INCONCLUSIVE',
      message: `the probe could not settle what fits: ${reason}; ${used}`,
      hint: 'give it more time with --time-limit, or see batchfit probe',
    },
  ];
}
