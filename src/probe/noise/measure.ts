/** Measures gradient norms of small and big batches at one point of training, in one child of an engine. */
import { UndeterminedError, UsageError, type Warning } from '../../errors.js';
import type { Seconds } from '../../units.js';
import type { ChildResult } from '../child.js';
import type { TrialDevice, TrialModel, TrialRequest } from '../engine.js';
import { runTfjsNoise } from '../engines/tfjs/noise.js';
import { runTorchNoise } from '../engines/torch/noise.js';
import { classify } from '../outcome.js';
import { readReport } from '../report.js';
import { fitToGraph, readDataFile, storeData } from './data.js';
import { type NoiseData, type NoiseLine, type NoiseOrder, type NoiseTrial, readNoiseLines } from './order.js';

export const NOISE_ENGINES = ['torch', 'tfjs'] as const;
export type NoiseEngine = (typeof NOISE_ENGINES)[number];

export interface NoiseRequest extends Omit<NoiseOrder, 'data'>, Pick<TrialRequest, 'sizes' | 'setup' | 'device' | 'timeoutSeconds'> {
  engine: NoiseEngine;
  model: TrialModel;
  /** An .npz file, or `file.py:function` for the torch engine. */
  data: string;
}

export interface NoiseMeasurement {
  /** One a big batch. */
  lines: NoiseLine[];
  device: TrialDevice | null;
  seconds: Seconds;
  warnings: Warning[];
}

/** Whether the data is Python code, which only PyTorch's engine calls. */
export const isCode = (data: string): boolean => /\.py:\w+$/.test(data);

/**
 * Throws UsageError where data and model do not go together, MissingError without the engine, UndeterminedError when the
 * child ended badly, and the signal's reason when aborted. What was measured before a time limit still counts.
 */
export async function measureNoise(request: NoiseRequest, signal: AbortSignal): Promise<NoiseMeasurement> {
  if (isCode(request.data)) {
    refuseCode(request);
    return await runNoise(request, { kind: 'code', reference: request.data }, request.sizes, signal);
  }
  const arrays = await readDataFile(request.data);
  const { model } = request;
  const fitted = model.kind === 'graph' ? fitToGraph(arrays, model.graph, request.sizes, request.data) : { arrays, sizes: request.sizes };
  const { data, remove } = await storeData(fitted.arrays, request);
  try {
    return await runNoise(request, data, fitted.sizes, signal);
  } finally {
    await remove();
  }
}

function refuseCode({ engine, data }: NoiseRequest): void {
  if (engine === 'torch') return;
  throw new UsageError(
    'BAD_DATA',
    `--data ${data}: the ${engine} engine cannot call Python`,
    'save the data: np.savez("data.npz", x=inputs, y=labels), then --data data.npz',
  );
}

async function runNoise(
  request: NoiseRequest,
  data: NoiseData,
  sizes: TrialRequest['sizes'],
  signal: AbortSignal,
): Promise<NoiseMeasurement> {
  const { engine, model, setup, device, timeoutSeconds, smallBatch, parts, updates, trainSteps, learningRate, seed } = request;
  const trial: NoiseTrial = {
    ...{ model, sizes, device, timeoutSeconds, steps: 1, warmupSteps: 0, memoryCapBytes: null },
    setup: { ...setup, batch: smallBatch },
    noise: { data, smallBatch, parts, updates, trainSteps, learningRate, seed },
  };
  const child = await { torch: runTorchNoise, tfjs: runTfjsNoise }[engine](trial, signal);
  const lines = readNoiseLines(child.reportText);
  const report = readReport(child.reportText);
  const { outcome, evidence } = classify(child, report, true);
  const warnings = [...child.warnings, ...(report?.warnings ?? [])];
  if (outcome === 'timeout' && lines.length > 0) warnings.push(stopped(lines.length, updates));
  else if (outcome === 'unsupported') throw new UsageError('NOISE_UNSUPPORTED', `${engine}: ${evidence}`, 'see batchfit noise --help');
  else if (outcome !== 'fits') throw new UndeterminedError('NOISE_FAILED', `${engine}: ${outcome}: ${evidence}`, hintFor(outcome, child));
  return { lines, device: report?.device ?? null, seconds: child.seconds, warnings };
}

function stopped(lines: number, updates: number): Warning {
  return {
    code: 'TIME_LIMIT',
    message: `time was up after ${lines} of ${updates} big batches; the estimate is from those`,
    hint: 'give it more: --time-limit 30m',
  };
}

function hintFor(outcome: string, child: ChildResult): string {
  if (outcome === 'oom') return 'take a smaller --small-batch; it need not fit the big one';
  if (outcome === 'timeout') return 'raise --time-limit, or take fewer --train-steps';
  return child.stderr.includes('Traceback') ? 'run the function by itself to see where it fails' : 'run batchfit doctor';
}
