import { boolean, string } from '@oclif/core/flags';
import type { Warning } from '../errors.js';
import { readHost } from '../machine/host.js';
import { thisSystem } from '../machine/system.js';
import { renderLoader } from '../output/loader-text.js';
import { chooseLoader, type LoaderChoice, shufflingCost } from '../plan/loader-choice.js';
import { type LoaderSource, measureLoader } from '../probe/loader/measure.js';
import type { LoaderPoint } from '../probe/loader/point.js';
import { parseSeconds } from '../units.js';
import { type Answer, BaseCommand } from './base.js';
import { count, positive } from './flags.js';
import { ladder, sourceOf } from './input/loader-request.js';
import { parseCount, parseList } from './input/values.js';

export default class Loader extends BaseCommand {
  static override summary = 'Measure a data loader: how many workers, how fast, and the host memory that they take';
  static override examples = [
    '<%= config.bin %> loader --dataset train.py:dataset --batch 64 --step-seconds 0.12',
    '<%= config.bin %> loader --samples 5000 -- python3 load.py --workers {workers}',
  ];
  static override flags = {
    dataset: string({
      helpValue: 'file.py:function',
      description: 'function that returns a Dataset or a DataLoader [default: made-up images]',
    }),
    workers: string({ helpValue: '0,2,4', description: 'numbers of workers to try [default: 0, 1, 2, 4 ... up to the usable cores]' }),
    batch: count({ description: "samples in a batch [default: the loader's own, or 32]" }),
    prefetch: count({ default: 2, description: 'batches that each worker prepares ahead' }),
    'pin-memory': boolean({ allowNo: true, description: 'copy batches to pinned memory [default: where there is a GPU]' }),
    shuffle: boolean({ default: true, allowNo: true, description: 'draw the samples in random order, and measure once in order too' }),
    seconds: positive({ default: 3, description: 'how long batches are counted for each number of workers' }),
    samples: count({ description: 'samples that one run of the command loads, where it does not print its rate' }),
    'samples-per-second': positive({ exclusive: ['step-seconds'], description: 'what the training step takes, to compare with' }),
    'step-seconds': positive({ dependsOn: ['batch'], description: 'seconds of a training step of --batch samples, to compare with' }),
    'time-limit': string({ default: '2m', helpValue: '1m', description: 'for each number of workers with its start' }),
  };
  static override takesProgram = true;

  protected async answer(): Promise<Answer> {
    const { flags } = await this.parse(Loader);
    const source = sourceOf(flags.dataset, this.program, flags.samples ?? null);
    const { usableCores } = (await readHost(thisSystem())).cpu;
    const workers =
      flags.workers === undefined
        ? ladder(usableCores)
        : parseList(flags.workers, '--workers').map((each) => parseCount(each, '--workers', 0));
    const points = await measureLoader(
      {
        ...{ source, workers, batch: flags.batch ?? null, prefetch: flags.prefetch, pinMemory: flags['pin-memory'] ?? null },
        ...{ shuffle: flags.shuffle, seconds: flags.seconds, timeoutSeconds: parseSeconds(flags['time-limit'], '--time-limit') },
      },
      this.interrupted,
      ({ workers: each, outcome, evidence }) => this.progress(`${each} workers: ${outcome === 'fits' ? evidence : outcome}`),
    );
    const needed = flags['samples-per-second'] ?? (flags['step-seconds'] ? flags.batch! / flags['step-seconds'] : null);
    const recommended = chooseLoader(points, needed);
    const command = source.kind === 'command' ? source.command : null;
    const document = {
      dataset: flags.dataset ?? null,
      command,
      recommended,
      neededSamplesPerSecond: needed,
      points,
      usableCores,
      source: 'measured',
    };
    const warnings = warningsOf(source, points, recommended, needed);
    return { document, warnings, exitCode: recommended === null ? 4 : 0, text: () => renderLoader(document) };
  }
}

/** Times that reading in order is faster, from which on it is worth a word: single measurements scatter by a few percent. */
const DEAR = 1.3;

function warningsOf(source: LoaderSource, points: LoaderPoint[], chosen: LoaderChoice | null, needed: number | null): Warning[] {
  const warnings = points
    .filter(({ outcome }) => outcome !== 'fits')
    .map(({ workers, outcome, evidence }) => ({
      code: 'POINT_FAILED',
      message: `${workers} workers: ${outcome}: ${evidence}`,
      hint: 'fewer workers, a smaller --batch or a longer --time-limit',
    }));
  if (source.kind === 'dataset' && source.reference === null) {
    const message = 'made-up images need no disk and no decoder: their rate says what workers cost, not how fast your data is';
    warnings.push({ code: 'SYNTHETIC_DATA', message, hint: 'measure your own: --dataset file.py:function' });
  }
  const cost = shufflingCost(points);
  if (cost !== null && cost > DEAR) {
    const message = `in order the data comes ${cost.toPrecision(3)} times as fast as shuffled`;
    warnings.push({
      code: 'SHUFFLING_COSTS',
      message,
      hint: 'shuffle shards and a buffer of samples instead of single reads, or keep the data in memory',
    });
  }
  if (points.some(({ shuffles }) => shuffles) === false && points.some(({ shuffles }) => shuffles === false)) {
    const message = 'the loader draws the samples in the same order every epoch';
    warnings.push({ code: 'NOT_SHUFFLED', message, hint: 'train with shuffle=True: an order that repeats shows in the loss' });
  }
  if (chosen?.waiting) {
    const message = `the training step waits ${Math.round(chosen.waiting * 100)} % of its time: it takes ${needed!.toPrecision(3)} samples/s, the loader gives ${chosen.samplesPerSecond.toPrecision(3)}`;
    warnings.push({
      code: 'STEP_WAITS_FOR_DATA',
      message,
      hint: 'decode less (smaller stored images, a faster decoder, a cache) or load on more cores',
    });
  }
  return warnings;
}
