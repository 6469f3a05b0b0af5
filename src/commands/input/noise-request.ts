/** From the flags of `noise` to squared norms: read from a log, or measured with an engine. */
import { readFile } from 'node:fs/promises';
import { MissingError, UsageError, type Warning } from '../../errors.js';
import type { ModelOptions } from '../../model/options.js';
import { readModelFacts } from '../../plan/model-facts.js';
import { fromMicroBatches, type NormSample } from '../../plan/noise.js';
import { noiseLimits } from '../../plan/noise-limits.js';
import { parseNormLog } from '../../plan/noise-log.js';
import { createEngine } from '../../probe/engines/status.js';
import { isCode, measureNoise, NOISE_ENGINES, type NoiseEngine } from '../../probe/noise/measure.js';
import { DEFAULT_SETUP, type Optimizer } from '../../setup.js';
import type { Seconds } from '../../units.js';
import { probeDevice, trialModel } from './probe-request.js';
import { parseImage } from './values.js';

/** Rates at which small models train steadily; a tuned one is better and is asked for in the help. */
const START_RATES: Partial<Record<Optimizer, number>> = { sgd: 0.05, nesterov: 0.01, momentum: 0.01, adagrad: 0.01 };
const START_RATE = 1e-3;

export interface Norms {
  samples: NormSample[];
  warnings: Warning[];
  /** How they were measured; null for a log. */
  measurement: Record<string, unknown> | null;
}

interface Batches {
  smallBatch: number;
  bigBatch: number;
}
export type NormSource = Batches & ({ kind: 'log'; file: string } | { kind: 'model'; model: string; data: string });

interface SourceFlags {
  model: string | undefined;
  from?: string | undefined;
  data?: string | undefined;
  'small-batch'?: number | undefined;
  'big-batch'?: number | undefined;
}

/** Small batches of 32 and big ones of 256 tell noise scales of some tens to some thousands apart in a few dozen updates. */
const SMALL_BATCH = 32;
const PARTS = 8;

/** A log, or a model and its data. Throws UsageError where neither is whole. */
export function sourceOf({ model, from, data, 'small-batch': small, 'big-batch': big }: SourceFlags): NormSource {
  if (from !== undefined && model === undefined && data === undefined) {
    if (small === undefined || big === undefined || small >= big)
      throw badBatches(`two batch sizes, the first below the second`, small, big);
    return { kind: 'log', file: from, smallBatch: small, bigBatch: big };
  }
  if (from !== undefined)
    throw new UsageError('LOG_AND_MODEL', '--from: expected a log alone, found a MODEL or --data too', 'leave one of them out');
  if (model === undefined) {
    const hint = 'batchfit noise digits-cnn --data digits.npz, or batchfit noise --from log.csv --small-batch 32 --big-batch 256';
    throw new UsageError('NOTHING_TO_READ', 'noise: expected a MODEL with --data, or --from with a log', hint);
  }
  if (data === undefined) {
    // Random samples have a noise scale too, but it says nothing of any task.
    throw new UsageError(
      'DATA_MISSING',
      `noise ${model}: expected --data, the samples that it trains on: the noise scale is the task's as much as the model's`,
      'in Python: np.savez("data.npz", x=inputs, y=labels), then --data data.npz; with torch also --data file.py:function',
    );
  }
  const smallBatch = small ?? (big === undefined ? SMALL_BATCH : Math.max(1, Math.floor(big / PARTS)));
  const bigBatch = big ?? smallBatch * PARTS;
  if (smallBatch >= bigBatch || bigBatch % smallBatch !== 0)
    throw badBatches('a big batch that is a multiple of the small one', smallBatch, bigBatch);
  return { kind: 'model', model, data, smallBatch, bigBatch };
}

function badBatches(expected: string, small: number | undefined, big: number | undefined): UsageError {
  const found = `${small ?? 'none'} and ${big ?? 'none'}`;
  return new UsageError(
    'BAD_BATCHES',
    `--small-batch and --big-batch: expected ${expected}, found ${found}`,
    'for example --small-batch 32 --big-batch 256',
  );
}

/** Throws UsageError for a log that cannot be read. What holds of every log is no warning: the text says it, `plan` warns of its model. */
export async function readNorms(file: string): Promise<Norms> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError('BAD_LOG', `${file}: could not be read: ${error.code === 'ENOENT' ? 'no such file' : error.code}`);
  });
  return { samples: parseNormLog(text, file), warnings: [], measurement: null };
}

export interface MeasureRequest extends Batches {
  model: string;
  data: string;
  image?: string | undefined;
  seq?: number | undefined;
  classes?: number | undefined;
  head?: string | undefined;
  engine?: NoiseEngine | undefined;
  device?: string | undefined;
  updates: number;
  trainSteps: number;
  optimizer?: Optimizer | undefined;
  learningRate?: number | undefined;
  seed: number;
  timeoutSeconds: Seconds;
}

/** Runs an engine over the model and its data. */
export async function measureNorms(request: MeasureRequest, signal: AbortSignal, onStart: (text: string) => void): Promise<Norms> {
  const { model, data, smallBatch, bigBatch, updates, trainSteps, seed, timeoutSeconds, optimizer = DEFAULT_SETUP.optimizer } = request;
  const device = probeDevice(request.device);
  const engine = request.engine ?? (await readyEngine(data));
  const learningRate = request.learningRate ?? START_RATES[optimizer] ?? START_RATE;
  const options = modelOptions(request);
  const trial = await trialModel(model, options, engine, signal);
  onStart(`${engine}: ${trainSteps} training steps, then ${updates} gradients of ${bigBatch} samples`);
  const [H, W] = options.image ?? [];
  const sizes = { ...(H && W ? { H, W } : {}), ...(options.seq ? { S: options.seq } : {}) };
  const measured = await measureNoise(
    {
      ...{ engine, model: trial, data, sizes, setup: { ...DEFAULT_SETUP, optimizer }, device, smallBatch, parts: bigBatch / smallBatch },
      ...{ updates, trainSteps, learningRate, seed, timeoutSeconds },
    },
    signal,
  );
  const { lines, warnings, seconds } = measured;
  const loss = lines.length === 0 ? null : lines.reduce((sum, each) => sum + each.loss, 0) / lines.length;
  const language = trial.kind === 'graph' && readModelFacts(trial.graph).task === 'language-model';
  return {
    samples: lines.map(({ microSqNorms, meanSqNorm }) => fromMicroBatches(microSqNorms, meanSqNorm)),
    warnings: [...warnings, ...noiseLimits({ trainSteps, loss, language })],
    measurement: {
      ...{ engine, model, data, device: measured.device, optimizer, learningRate, trainSteps, seed, seconds },
      loss,
    },
  };
}

function modelOptions({ image, seq, classes, head }: MeasureRequest): ModelOptions {
  return {
    ...(image === undefined ? {} : { image: parseImage(image, '--image') }),
    ...(seq === undefined ? {} : { seq }),
    ...(classes === undefined ? {} : { classes }),
    ...(head === undefined ? {} : { head }),
  };
}

/** The first engine that is ready and reads this data. */
async function readyEngine(data: string): Promise<NoiseEngine> {
  const reasons: string[] = [];
  for (const name of NOISE_ENGINES.filter((each) => each === 'torch' || !isCode(data))) {
    const { status, reason } = await createEngine(name).status();
    if (status === 'ready') return name;
    reasons.push(`${name}: ${reason}`);
  }
  throw new MissingError(
    'NO_ENGINE',
    `measuring gradients needs an engine: ${reasons.join('; ')}`,
    'run: batchfit engines install torch, or log the norms in your own loop: batchfit noise --snippet torch',
  );
}
