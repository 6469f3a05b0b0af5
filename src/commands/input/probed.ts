/** Measures for `plan --probe`: what fits and how fast, started from the plan that the estimate alone makes. */
import { MissingError, UsageError, type Warning } from '../../errors.js';
import type { TargetDevice } from '../../machine/machine.js';
import type { ModelGraph } from '../../model/graph.js';
import type { SpeedCurve } from '../../plan/throughput.js';
import type { PlanInput, ProbedLimit, TrainingPlan } from '../../plan/training-plan.js';
import type { Engine } from '../../probe/engine.js';
import { createTfjsEngine } from '../../probe/engines/tfjs/engine.js';
import { createTorchEngine } from '../../probe/engines/torch/engine.js';
import { measuredPeak, type ProbeResult, probeBatch } from '../../probe/probe.js';
import type { Setup } from '../../setup.js';
import { type Bytes, parseBytes, parseSeconds, type Seconds } from '../../units.js';

export const PLAN_ENGINES = ['torch', 'tfjs'] as const;
export type PlanEngine = (typeof PLAN_ENGINES)[number];

export interface MeasureOptions {
  engine: PlanEngine | undefined;
  /** What --device says: only devices of this machine can be measured. */
  device: string | undefined;
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
    'time-limit'?: string | undefined;
    'memory-cap'?: string | undefined;
  },
  signal: AbortSignal,
  progress: (text: string) => void,
): MeasureOptions {
  return {
    engine: flags.engine,
    device: flags.device,
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
  input: PlanInput,
  options: MeasureOptions,
): Promise<Measured> {
  const engine = await chooseEngine(options.engine);
  const accumulated = (draft.batch?.accumulation ?? 1) > 1;
  const wanted = draft.batch === null ? null : draft.batch.effective / draft.batch.replicas;
  const maxBatch = input.request.goal !== null || wanted === null ? MOST : wanted;
  const result = await probeBatch({
    engine,
    request: {
      model: { kind: 'graph', graph },
      sizes: {},
      setup: { ...setup, accumulation: accumulated ? 2 : 1 },
      device: localDevice(options.device, target),
      steps: STEPS,
      warmupSteps: WARMUP_STEPS,
      timeoutSeconds: options.timeLimitSeconds,
      memoryCapBytes: options.memoryCapBytes,
    },
    start: Math.min(maxBatch, draft.batch?.micro ?? 1),
    limits: { maxBatch, timeLimitSeconds: options.timeLimitSeconds, resume: false, curve: true },
    signal: options.signal,
    onTrial: (batch, trial) =>
      options.progress(trial === null ? `${engine.name}: trying a micro batch of ${batch}` : `${engine.name}: ${batch} ${trial.outcome}`),
  });
  return { probed: limitOf(result, accumulated), curve: curveOf(result), warnings: [...result.warnings, ...doubtsAbout(result)] };
}

function localDevice(device: string | undefined, target: TargetDevice): string {
  if (device === undefined || /^(cuda|rocm|mps|cpu)(:\S+)?$/i.test(device)) return device ?? target.kind;
  throw new UsageError(
    'PROBE_ELSEWHERE',
    `--probe measures this machine, and --device ${device} is another`,
    'leave --device out, or plan without --probe',
  );
}

async function chooseEngine(asked: PlanEngine | undefined): Promise<Engine> {
  const engines = { torch: createTorchEngine, tfjs: createTfjsEngine };
  if (asked !== undefined) return engines[asked]();
  const reasons: string[] = [];
  for (const create of Object.values(engines)) {
    const engine = create();
    const { status, reason } = await engine.status();
    if (status === 'ready') return engine;
    reasons.push(`${engine.name}: ${reason}`);
  }
  throw new MissingError('NO_ENGINE', `--probe needs an engine: ${reasons.join('; ')}`, 'batchfit engines install torch, or tfjs');
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
