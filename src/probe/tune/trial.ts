/** One trial of a study: the user's command at one batch and learning rate, stopped early when it is hopeless. */
import { hostname } from 'node:os';
import type { Bytes, Seconds } from '../../units.js';
import { type ChildResult, runChild } from '../child.js';
import { classify } from '../outcome.js';
import { createMetricReader } from './metric-lines.js';
import type { Asked, Report, TuneOutcome, TuneTrial } from './sampler.js';
import type { Setting } from './space.js';

export interface TrialLimits {
  /** null for no limit. */
  timeoutSeconds: Seconds | null;
  memoryCapBytes: Bytes | null;
}

/** About three weeks: the longest that a timer of Node can wait. */
const LONGEST_SECONDS = 2_000_000;

/**
 * Runs the command once. `onReport` hears every value as it is said and answers whether the trial is hopeless. Rejects with
 * the signal's reason when aborted, after the child and all its children are gone.
 */
export async function runTuneTrial(
  command: [string, ...string[]],
  asked: Asked,
  limits: TrialLimits,
  onReport: (report: Report) => Promise<boolean>,
  signal: AbortSignal,
): Promise<TuneTrial> {
  const stop = new AbortController();
  const reports: Report[] = [];
  let metric: number | null = null;
  let hopeless: string | null = null;
  let failure: { error: unknown } | null = null;
  let heard: Promise<void> = Promise.resolve();
  const end = (why: string) => {
    hopeless ??= why;
    stop.abort();
  };
  const reader = createMetricReader((line) => {
    metric = line.metric;
    if (line.metric === null) return end(`the metric at step ${line.step} is not a number`);
    const report = { step: line.step, metric: line.metric };
    reports.push(report);
    heard = heard
      .then(async () => {
        if (hopeless === null && (await onReport(report))) end(`worse than the median of finished trials at step ${report.step}`);
      })
      .catch((error) => {
        failure ??= { error };
        stop.abort();
      });
  });
  const child = await runChild({
    command: fillIn(command, asked),
    environment: { BATCHFIT_BATCH: String(asked.batch), BATCHFIT_LR: String(asked.learningRate), PYTHONUNBUFFERED: '1' },
    timeoutSeconds: Math.min(limits.timeoutSeconds ?? LONGEST_SECONDS, LONGEST_SECONDS),
    memoryCapBytes: limits.memoryCapBytes,
    signal,
    stop: stop.signal,
    onStdout: (text) => reader.feed(text),
  });
  reader.end();
  await heard;
  if (failure !== null) throw (failure as { error: unknown }).error;
  const { number, batch, learningRate } = asked;
  return {
    number,
    batch,
    learningRate,
    metric,
    reports,
    ran: true,
    seconds: child.seconds,
    host: hostname(),
    ...judge(child, metric, hopeless),
  };
}

/** A batch that a smaller one's end speaks for. */
export function notRun({ number, batch, learningRate }: Asked, exceeds: number): TuneTrial {
  const evidence = `not run: batch ${exceeds} ran out of memory on this machine`;
  return { number, batch, learningRate, metric: null, reports: [], ran: false, seconds: 0, host: hostname(), outcome: 'oom', evidence };
}

/** Puts the setting where the command's words ask for it. */
export function fillIn([program, ...words]: [string, ...string[]], { batch, learningRate }: Setting): [string, ...string[]] {
  return [program, ...words.map((word) => word.replaceAll('{batch}', String(batch)).replaceAll('{lr}', String(learningRate)))];
}

function judge(child: ChildResult, metric: number | null, hopeless: string | null): { outcome: TuneOutcome; evidence: string } {
  if (hopeless !== null) return { outcome: 'pruned', evidence: hopeless };
  const { outcome, evidence } = classify(child, null, false);
  if (outcome === 'unsupported') return { outcome: 'crash', evidence };
  if (outcome !== 'fits') return { outcome, evidence };
  if (metric === null) return { outcome: 'crash', evidence: 'exit code 0 without a line BATCHFIT {"metric": X, "step": N}' };
  return { outcome: 'done', evidence: `exit code 0 after ${child.seconds.toFixed(1)} s` };
}
