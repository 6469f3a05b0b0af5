/** From the flags of `tune` to a study: its batches, its points and who keeps it. */
import { join, resolve } from 'node:path';
import { UsageError, type Warning } from '../../errors.js';
import { dataFolder } from '../../probe/data-folder.js';
import { findProgram } from '../../probe/program.js';
import { createLocalSampler } from '../../probe/tune/local.js';
import type { Direction, Pruner, Sampler, SamplerName } from '../../probe/tune/sampler.js';
import { gridOf, type TuneSpace, thinOut } from '../../probe/tune/space.js';
import { createRandom } from '../../random.js';
import { parseCount } from './values.js';

/** Where nobody says how many: enough for a search in two dimensions. */
const DEFAULT_TRIALS = 20;

/** `16..1024`: the powers of two times the first within both ends; or a list such as `16,24,32`. */
export function parseBatches(text: string, field: string): number[] {
  const ends = /^\s*(\S+?)\s*\.\.\s*(\S+)\s*$/.exec(text);
  if (!ends) return text.split(',').map((each) => parseCount(each, field));
  const [low, high] = [parseCount(ends[1]!, field), parseCount(ends[2]!, field)];
  if (low > high) throw new UsageError('BAD_RANGE', `${field}: expected the smaller batch first, found "${text}"`, `write ${high}..${low}`);
  return Array.from({ length: Math.floor(Math.log2(high / low)) + 1 }, (_, at) => low * 2 ** at);
}

/** The words behind `--`. Throws UsageError when there are none, MissingError when the program is not there. */
export function commandOf([program, ...words]: string[]): { command: [string, ...string[]]; warnings: Warning[] } {
  if (program === undefined) {
    throw new UsageError(
      'COMMAND_MISSING',
      'expected a training command behind --',
      'write: batchfit tune ... -- python3 train.py --batch {batch} --lr {lr}',
    );
  }
  const warnings = (['{batch}', '{lr}'] as const)
    .filter((place) => !words.some((word) => word.includes(place)))
    .map((place) => ({
      code: place === '{lr}' ? 'RATE_NOT_IN_COMMAND' : 'BATCH_NOT_IN_COMMAND',
      message: `no word of the command holds ${place}, so it has to read BATCHFIT_${place === '{lr}' ? 'LR' : 'BATCH'}`,
      hint: 'write the places into the command: -- python3 train.py --batch {batch} --lr {lr}',
    }));
  return { command: [findProgram(program), ...words], warnings };
}

export interface SamplerRequest {
  space: TuneSpace;
  sampler: SamplerName;
  trials: number | undefined;
  direction: Direction;
  pruner: Pruner;
  seed: number | undefined;
  storage: string | undefined;
  study: string;
}

/** This process keeps a grid or random study of its own; Optuna keeps the rest. */
export async function openSampler(
  request: SamplerRequest,
  signal: AbortSignal,
): Promise<{ sampler: Sampler; journal: string | null; warnings: Warning[] }> {
  const { space, sampler, direction, pruner, seed } = request;
  const all = sampler === 'grid' ? gridOf(space) : null;
  const settings = all?.length ?? (space.spread > 1 ? Infinity : space.batches.length);
  const count = Math.min(request.trials ?? (all === null ? DEFAULT_TRIALS : settings), settings);
  const grid = all && thinOut(all, count);
  const warnings = [
    ...(all !== null && count < all.length ? [cut(count, all.length)] : []),
    ...(request.trials !== undefined && request.trials > settings ? [more(request.trials, settings)] : []),
  ];
  if (sampler !== 'bayesian' && request.storage === undefined) {
    const journal = join(dataFolder(), 'studies', `${new Date().toISOString().replaceAll(':', '-')}-${process.pid}.jsonl`);
    const random = createRandom(seed ?? Math.floor(Math.random() * 2 ** 32));
    return { sampler: createLocalSampler({ space, grid, budget: count, direction, pruner, random, journal }), journal, warnings };
  }
  const [{ requireOptuna }, { createOptunaSampler }] = await Promise.all([
    import('../../probe/tune/python.js'),
    import('../../probe/tune/optuna.js'),
  ]);
  const python = await requireOptuna(signal);
  const storage = request.storage === undefined ? null : absolute(request.storage);
  const points = grid ?? (sampler === 'bayesian' ? thinOut(gridOf({ ...space, spread: 1 }), startupOf(count)) : []);
  const options = { python, space, sampler, points, budget: count, direction, pruner, seed: seed ?? null, storage, study: request.study };
  return { sampler: await createOptunaSampler(options), journal: null, warnings };
}

/** A Bayesian search begins with the rule's own settings, a quarter of its trials and at least three. */
const startupOf = (trials: number): number => Math.max(3, Math.min(10, Math.floor(trials / 4)));

/** A plain path is a journal file; it means the same wherever the worker runs. */
function absolute(storage: string): string {
  return storage.includes('://') || storage.startsWith('journal:') ? storage : resolve(storage);
}

const cut = (count: number, all: number): Warning => ({
  code: 'GRID_CUT',
  message: `${count} of the grid's ${all} settings are tried, spread evenly from the reference outwards`,
  hint: `leave --trials out for all ${all}`,
});

const more = (asked: number, settings: number): Warning => ({
  code: 'FEWER_SETTINGS',
  message: `--trials ${asked}: there are only ${settings} settings to try`,
  hint: 'add batches, or search around the rule: --lr-spread 4',
});
