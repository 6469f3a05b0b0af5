import { readFile } from 'node:fs/promises';
import { string as argument } from '@oclif/core/args';
import { option, string } from '@oclif/core/flags';
import { MissingError, UsageError, type Warning } from '../errors.js';
import { renderNoise, SNIPPETS } from '../output/noise-text.js';
import { criticalBatch, estimateNoiseScale, type NoiseEstimate, tradeoffTable } from '../plan/noise.js';
import { NORM_COLUMNS, parseNormLog } from '../plan/noise-log.js';
import { type Answer, BaseCommand } from './base.js';
import { count } from './flags.js';

/** A noise scale that changed by more than this between the halves of a log is none for the whole of it. */
const STEADY = 2;

/** The document when only lines to log with were asked for. */
const NOTHING = {
  ...{ noiseScale: null, gradientSqNorm: null, trace: null, samples: 0, enough: false, drift: null },
  ...{ smallBatch: null, bigBatch: null, criticalBatch: null, tradeoff: [], source: null },
};

export default class Noise extends BaseCommand {
  static override summary = 'Estimate the gradient noise scale, and what a larger or smaller batch would cost';
  static override description =
    `Reads a CSV with a header and one row a step: ${NORM_COLUMNS.join(',')}, the squared gradient norms at two batch sizes. --snippet prints the lines that log them.`;
  static override examples = [
    '<%= config.bin %> noise --from log.csv --small-batch 32 --big-batch 256',
    '<%= config.bin %> noise --snippet torch',
  ];
  static override args = { model: argument({ description: 'a model to measure' }) };
  static override flags = {
    from: string({ helpValue: 'log.csv', description: 'a log of squared gradient norms' }),
    'small-batch': count({ dependsOn: ['from'], description: 'samples behind the small norms' }),
    'big-batch': count({ dependsOn: ['from'], description: 'samples behind the big norms' }),
    snippet: option({ options: Object.keys(SNIPPETS) as Array<keyof typeof SNIPPETS> })({
      description: 'print the lines that log the two norms',
    }),
  };

  protected async answer(): Promise<Answer> {
    const { args, flags } = await this.parse(Noise);
    if (flags.snippet !== undefined) return { document: { ...NOTHING, snippet: SNIPPETS[flags.snippet] }, text: SNIPPETS[flags.snippet] };
    if (flags.from === undefined) throw nothingToRead(args.model);
    const { smallBatch, bigBatch } = batchesOf(flags['small-batch'], flags['big-batch']);
    const text = await readFile(flags.from, 'utf8').catch((error: NodeJS.ErrnoException) => {
      throw new UsageError('BAD_LOG', `${flags.from}: could not be read: ${error.code === 'ENOENT' ? 'no such file' : error.code}`);
    });
    const estimate = estimateNoiseScale({ samples: parseNormLog(text, flags.from), smallBatch, bigBatch });
    const { noiseScale } = estimate;
    const document = {
      ...estimate,
      smallBatch,
      bigBatch,
      criticalBatch: noiseScale === null ? null : criticalBatch(noiseScale),
      tradeoff: noiseScale === null ? [] : tradeoffTable(noiseScale.value),
      source: 'measured',
      snippet: null,
    };
    return { document, warnings: warningsOf(estimate), exitCode: estimate.enough ? 0 : 4, text: () => renderNoise(document) };
  }
}

function nothingToRead(model: string | undefined): Error {
  if (model === undefined)
    return new UsageError(
      'NOTHING_TO_READ',
      'noise: expected --from with a log',
      'batchfit noise --from log.csv --small-batch 32 --big-batch 256',
    );
  return new MissingError(
    'NOT_MEASURED_HERE',
    `noise ${model}: batchfit cannot measure gradient norms itself yet`,
    'log them in your training loop: batchfit noise --snippet torch, then --from log.csv',
  );
}

function batchesOf(smallBatch: number | undefined, bigBatch: number | undefined): { smallBatch: number; bigBatch: number } {
  if (smallBatch === undefined || bigBatch === undefined || smallBatch >= bigBatch) {
    throw new UsageError(
      'BAD_BATCHES',
      `--small-batch and --big-batch: expected two batch sizes, the first below the second, found ${smallBatch ?? 'none'} and ${bigBatch ?? 'none'}`,
      'for example --small-batch 32 --big-batch 256',
    );
  }
  return { smallBatch, bigBatch };
}

function warningsOf({ enough, drift, samples }: NoiseEstimate): Warning[] {
  const warnings: Warning[] = [];
  if (!enough)
    warnings.push({
      code: 'NOT_ENOUGH_SAMPLES',
      message: `${samples} steps are not enough to tell the gradient from its noise`,
      hint: 'log more steps, or a larger big batch',
    });
  if (drift !== null && (drift > STEADY || drift < 1 / STEADY)) {
    warnings.push({
      code: 'NOISE_SCALE_DRIFTS',
      message: `the noise scale changed ${drift.toPrecision(3)} times between the first and the second half of the log`,
      hint: 'use the later steps: the noise scale grows during training',
    });
  }
  return warnings;
}
