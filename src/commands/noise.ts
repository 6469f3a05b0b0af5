import { string as argument } from '@oclif/core/args';
import { option, string } from '@oclif/core/flags';
import type { Warning } from '../errors.js';
import { renderNoise, SNIPPETS } from '../output/noise-text.js';
import { criticalBatch, estimateNoiseScale, type NoiseEstimate, tradeoffTable } from '../plan/noise.js';
import { NORM_COLUMNS } from '../plan/noise-log.js';
import { parseSeconds } from '../units.js';
import { type Answer, BaseCommand } from './base.js';
import { count, positive, setupFlags } from './flags.js';

/** A noise scale that changed by more than this between the halves of a log is none for the whole of it. */
const STEADY = 2;

/** The document when only lines to log with were asked for. */
const NOTHING = {
  ...{ noiseScale: null, gradientSqNorm: null, trace: null, samples: 0, enough: false, drift: null, measurement: null },
  ...{ smallBatch: null, bigBatch: null, criticalBatch: null, tradeoff: [], source: null },
};
const { image, seq, classes, head, optimizer } = setupFlags;

export default class Noise extends BaseCommand {
  static override summary = 'Estimate the gradient noise scale, and what a larger or smaller batch would cost';
  static override description =
    `Measures the gradients of MODEL on real data (--data), or reads a CSV with one row a step: ${NORM_COLUMNS.join(',')}, the squared gradient norms at two batch sizes. --snippet prints the lines that log them.`;
  static override examples = [
    '<%= config.bin %> noise digits-cnn --data digits.npz --engine torch',
    '<%= config.bin %> noise train.py:build --data train.py:dataset --train-steps 500 --learning-rate 3e-4',
    '<%= config.bin %> noise --from log.csv --small-batch 32 --big-batch 256',
    '<%= config.bin %> noise --snippet torch',
  ];
  static override args = { model: argument({ description: 'a model to measure' }) };
  static override flags = {
    from: string({ helpValue: 'log.csv', description: 'a log of squared gradient norms' }),
    'small-batch': count({ description: 'samples behind the small norms [default: 32; of a log there is none]' }),
    'big-batch': count({ description: 'samples behind the big norms [default: 8 times the small; of a log there is none]' }),
    snippet: option({ options: Object.keys(SNIPPETS) as Array<keyof typeof SNIPPETS> })({
      description: 'print the lines that log the two norms',
    }),
    data: string({ helpValue: 'data.npz', description: 'samples to measure on: .npz with inputs and labels, or file.py:function' }),
    engine: option({ options: ['torch', 'tfjs'] as const })({
      description: 'what computes the gradients [default: the first that is ready]',
    }),
    updates: count({ default: 64, min: 8, description: 'big batches to measure' }),
    'train-steps': count({ default: 100, min: 0, description: 'optimizer steps on small batches before that' }),
    'learning-rate': positive({ description: 'of those steps [default: one for the optimizer; your own tuned one is better]' }),
    seed: count({ default: 1, min: 0, description: 'draws the samples and the first weights, the same ones in both engines' }),
    device: string({ helpValue: 'NAME', description: "cuda, cuda:1, rocm, mps or cpu [default: the engine's best]" }),
    'time-limit': string({ default: '10m', helpValue: '5m', description: 'for the whole measurement' }),
    ...{ image, seq, classes, head, optimizer },
  };

  protected async answer(): Promise<Answer> {
    const { args, flags } = await this.parse(Noise);
    if (flags.snippet !== undefined) return { document: { ...NOTHING, snippet: SNIPPETS[flags.snippet] }, text: SNIPPETS[flags.snippet] };
    const { measureNorms, readNorms, sourceOf } = await import('./input/noise-request.js');
    const source = sourceOf({ ...flags, model: args.model });
    const { smallBatch, bigBatch } = source;
    const { samples, warnings, measurement } =
      source.kind === 'log'
        ? await readNorms(source.file)
        : await measureNorms(
            {
              ...{ ...flags, ...source, trainSteps: flags['train-steps'], learningRate: flags['learning-rate'] },
              timeoutSeconds: parseSeconds(flags['time-limit'], '--time-limit'),
            },
            this.interrupted,
            (text) => this.progress(text),
          );
    const estimate = estimateNoiseScale({ samples, smallBatch, bigBatch });
    const { noiseScale } = estimate;
    const document = {
      ...{ ...estimate, smallBatch, bigBatch, source: 'measured', measurement, snippet: null },
      criticalBatch: noiseScale === null ? null : criticalBatch(noiseScale),
      tradeoff: noiseScale === null ? [] : tradeoffTable(noiseScale.value),
    };
    const exitCode = estimate.enough ? 0 : 4;
    return { document, warnings: [...warnings, ...warningsOf(estimate, source.kind)], exitCode, text: () => renderNoise(document) };
  }
}

function warningsOf({ enough, drift, samples }: NoiseEstimate, kind: 'log' | 'model'): Warning[] {
  const warnings: Warning[] = [];
  if (!enough)
    warnings.push({
      code: 'NOT_ENOUGH_SAMPLES',
      message: `${samples} steps are not enough to tell the gradient from its noise`,
      hint: kind === 'log' ? 'log more steps, or a larger big batch' : 'raise --updates or --big-batch',
    });
  if (drift !== null && (drift > STEADY || drift < 1 / STEADY)) {
    warnings.push({
      code: 'NOISE_SCALE_DRIFTS',
      message: `the noise scale changed ${drift.toPrecision(3)} times between the first and the second half of the ${kind === 'log' ? 'log' : 'samples'}`,
      hint:
        kind === 'log'
          ? 'use the later steps: the noise scale grows during training'
          : 'raise --updates or --big-batch: so few do not settle it',
    });
  }
  return warnings;
}
