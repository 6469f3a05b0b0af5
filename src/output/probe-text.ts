/** What a probe found: as its document's fields, and for people. */
import { median, medianDeviation } from '../probe/calibration.js';
import type { TrialResult } from '../probe/engine.js';
import { measuredPeak, type ProbeResult, samplesPerSecond } from '../probe/probe.js';
import { formatBytes } from '../units.js';
import { table } from './tables.js';

export function describeTrial(trial: TrialResult, accumulation: number): Record<string, unknown> {
  const { batch, outcome, reservedBytes, deviceBytes, processPeakBytes, stepSeconds: samples, seconds, evidence } = trial;
  const stepSeconds = samples.length > 0 ? { median: median(samples), mad: medianDeviation(samples), samples } : null;
  return {
    batch,
    outcome,
    peakBytes: measuredPeak(trial),
    reservedBytes,
    deviceBytes,
    processPeakBytes,
    stepSeconds,
    samplesPerSecond: samplesPerSecond(trial, accumulation),
    seconds,
    evidence,
  };
}

export function describeProbe(result: ProbeResult, accumulation: number): Record<string, unknown> {
  const { largest, smallestFailing, verdict, reason, trials, calibration, throughput, journal, interrupted, seconds } = result;
  return {
    device: trials.find((trial) => trial.device !== null)?.device ?? null,
    largest: largest === null ? null : { batch: largest, source: 'measured' },
    smallestFailing,
    verdict,
    reason,
    trials: trials.map((trial) => describeTrial(trial, accumulation)),
    calibration,
    throughput,
    journal,
    interrupted,
    seconds,
  };
}

export function renderProbe(result: ProbeResult, accumulation: number): string {
  const { largest, verdict, reason, trials, calibration, throughput } = result;
  const device = trials.find((trial) => trial.device !== null)?.device;
  const answer = largest === null ? 'no batch was seen to fit' : `largest batch: ${largest} (measured)`;
  const rows = trials.map((trial) => {
    const peak = measuredPeak(trial);
    const rate = samplesPerSecond(trial, accumulation);
    const step = trial.stepSeconds.length > 0 ? `${median(trial.stepSeconds).toPrecision(3)} s` : '-';
    const why = trial.outcome === 'fits' ? '' : trial.evidence.slice(0, 100);
    return [String(trial.batch), trial.outcome, peak === null ? '-' : formatBytes(peak), step, rate?.toPrecision(3) ?? '-', why];
  });
  const lines = [
    `${verdict === 'inconclusive' ? 'inconclusive: ' : ''}${answer}`,
    reason,
    ...(device ? [`ran on ${device.name ?? device.kind} with ${device.backend}`] : []),
    '',
    table(['batch', 'outcome', 'peak', 'step', 'samples/s', 'evidence'], rows, {
      align: ['right', 'left', 'right', 'right', 'right', 'left'],
    }),
  ];
  if (calibration) {
    const off = (100 * calibration.residual).toFixed(1);
    lines.push(
      '',
      `measured peaks: ${formatBytes(calibration.fixedBytes)} + ${formatBytes(calibration.perSampleBytes)} a sample, within ${off} %`,
    );
  }
  if (throughput.knee) lines.push(`knee of the throughput: batch ${throughput.knee.batch}`);
  return lines.join('\n');
}
