/** Finds the largest batch that really trains, with an engine that runs one child process a trial. */
import { MissingError, type Warning } from '../errors.js';
import type { Bytes, Seconds } from '../units.js';
import { type Calibration, calibrate, findKnee, median } from './calibration.js';
import type { Engine, TrialRequest, TrialResult } from './engine.js';
import { openJournal } from './journal.js';
import { rememberContexts } from './learned.js';
import { type SearchResult, type SearchTrial, StopSearch, searchLargest } from './search.js';

export interface ProbeLimits {
  maxBatch: number;
  /** For the whole probe. */
  timeLimitSeconds: Seconds;
  /** Take the trials of an earlier, unfinished probe of the same thing. */
  resume: boolean;
  /** Add throughput points at the powers of two below the largest batch. */
  curve: boolean;
}

export interface ProbeInput {
  engine: Engine;
  /** `setup.batch` is set for every trial. */
  request: TrialRequest;
  /** The estimate's largest batch, null without one. */
  start: number | null;
  limits: ProbeLimits;
  signal: AbortSignal;
  /** Called before (`result` null) and after each trial. */
  onTrial?: (batch: number, result: TrialResult | null) => void;
}

export interface ThroughputPoint {
  batch: number;
  stepSeconds: Seconds | null;
  samplesPerSecond: number;
}

export interface ProbeResult extends SearchResult {
  /** In the order in which they ran. */
  trials: TrialResult[];
  calibration: Calibration | null;
  throughput: { knee: { batch: number } | null; points: ThroughputPoint[] };
  seconds: Seconds;
  interrupted: boolean;
  /** Where the trials are written down. */
  journal: string;
  warnings: Warning[];
}

/** Runs the search. Throws MissingError when the engine is missing or cannot run this model or setup at all. */
export async function probeBatch(input: ProbeInput): Promise<ProbeResult> {
  const { engine, request, limits, signal } = input;
  const started = performance.now();
  const journal = openJournal(engine.name, request);
  const trials: TrialResult[] = [];
  const known = new Map<number, TrialResult>();
  if (limits.resume) for (const trial of journal.read()) if (isEvidence(trial)) known.set(trial.batch, trial);
  if (!limits.resume) journal.clear();

  const run = async (batch: number): Promise<TrialResult> => {
    const earlier = known.get(batch);
    if (earlier) {
      if (!trials.includes(earlier)) trials.push(earlier);
      return earlier;
    }
    const left = limits.timeLimitSeconds - (performance.now() - started) / 1000;
    if (signal.aborted) throw new StopSearch('interrupted');
    if (left <= 0) throw new StopSearch('the time limit was reached');
    input.onTrial?.(batch, null);
    const result = await runTrial(
      engine,
      { ...request, setup: { ...request.setup, batch }, timeoutSeconds: Math.min(left, request.timeoutSeconds) },
      signal,
    );
    trials.push(result);
    journal.add(result);
    input.onTrial?.(batch, result);
    if (result.outcome === 'unsupported') {
      throw new MissingError(
        'ENGINE_UNSUPPORTED',
        `the ${engine.name} engine cannot run this: ${result.evidence}`,
        'try another --engine or setup',
      );
    }
    if (result.outcome === 'timeout' && left < request.timeoutSeconds) throw new StopSearch('the time limit was reached');
    if (isEvidence(result)) known.set(batch, result);
    return result;
  };

  const limitBytes = request.memoryCapBytes;
  const toSearch = (result: TrialResult): SearchTrial => ({ ...result, usedBytes: limitBytes === null ? null : result.processPeakBytes });
  const found = await searchLargest(async (batch) => toSearch(await run(batch)), {
    start: input.start,
    maxBatch: limits.maxBatch,
    limitBytes,
  });
  if (limits.curve && found.largest !== null) await addCurve(run, found.largest);
  const fitting = [...new Map(trials.filter((trial) => trial.outcome === 'fits').map((trial) => [trial.batch, trial])).values()];
  const points = fitting.flatMap((trial) => throughputOf(trial, request.setup.accumulation)).sort((a, b) => a.batch - b.batch);
  const knee = limits.curve ? findKnee(points) : null;
  await rememberContexts(fitting);
  return {
    ...found,
    trials,
    calibration: calibrate(measuredPeaks(fitting)),
    throughput: { knee: knee === null ? null : { batch: knee }, points },
    seconds: (performance.now() - started) / 1000,
    interrupted: signal.aborted,
    journal: journal.path,
    warnings: distinct(trials.flatMap((trial) => trial.warnings)),
  };
}

/** The highest memory of a trial: as the framework counts it, else the process's. */
export function measuredPeak(trial: TrialResult): Bytes | null {
  return trial.peakBytes ?? trial.processPeakBytes;
}

/** As the command said, else from the timed steps, each of `accumulation` micro batches. */
export function samplesPerSecond(trial: TrialResult, accumulation: number): number | null {
  if (trial.samplesPerSecond !== null) return trial.samplesPerSecond;
  return trial.stepSeconds.length > 0 ? (trial.batch * accumulation) / median(trial.stepSeconds) : null;
}

/** A crash or a timeout may be chance: it is not carried over. */
function isEvidence(trial: TrialResult): boolean {
  return trial.outcome === 'fits' || trial.outcome === 'oom';
}

async function runTrial(engine: Engine, request: TrialRequest, signal: AbortSignal): Promise<TrialResult> {
  try {
    return await engine.runTrial(request, signal);
  } catch (error) {
    if (signal.aborted) throw new StopSearch('interrupted');
    throw error;
  }
}

async function addCurve(run: (batch: number) => Promise<TrialResult>, largest: number): Promise<void> {
  try {
    for (let batch = 1; batch < largest; batch *= 2) await run(batch);
  } catch (error) {
    if (!(error instanceof StopSearch)) throw error; // the points so far stand
  }
}

function throughputOf(trial: TrialResult, accumulation: number): ThroughputPoint[] {
  const rate = samplesPerSecond(trial, accumulation);
  if (rate === null) return [];
  return [{ batch: trial.batch, stepSeconds: trial.stepSeconds.length > 0 ? median(trial.stepSeconds) : null, samplesPerSecond: rate }];
}

/** Peaks of one kind only: a line through two kinds means nothing. */
function measuredPeaks(trials: TrialResult[]): { batch: number; peakBytes: Bytes }[] {
  const counted = trials.every((trial) => trial.peakBytes !== null);
  return trials.flatMap((trial) => {
    const peakBytes = counted ? trial.peakBytes : trial.processPeakBytes;
    return peakBytes ? [{ batch: trial.batch, peakBytes }] : [];
  });
}

function distinct(warnings: Warning[]): Warning[] {
  return [...new Map(warnings.map((warning) => [warning.code + warning.message, warning])).values()];
}
