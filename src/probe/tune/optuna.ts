/** A study that Optuna keeps: Bayesian search, and every study with a storage that many processes and machines share. */
import { hostname } from 'node:os';
import { z } from 'zod';
import { MissingError, UsageError } from '../../errors.js';
import { STARTUP_TRIALS } from './median.js';
import type { Direction, Pruner, Sampler, SamplerName } from './sampler.js';
import { type Point, settingAt, type TuneSpace } from './space.js';
import { hidePassword } from './storage.js';
import { startWorker, WorkerError } from './worker.js';

export interface OptunaRequest {
  python: string;
  space: TuneSpace;
  sampler: SamplerName;
  /** Settings to try first, in order: all of a grid, none or a few for a sampler. */
  points: Point[];
  budget: number;
  direction: Direction;
  pruner: Pruner;
  seed: number | null;
  /** null keeps the study in the worker's memory. */
  storage: string | null;
  study: string;
}

const asked = z.object({
  number: z.number().int(),
  index: z.number().int(),
  factor: z.number().positive(),
  exceeds: z.number().nullable(),
});

const trial = z.object({
  number: z.number().int(),
  batch: z.number().int().positive(),
  learningRate: z.number().positive(),
  outcome: z.enum(['done', 'pruned', 'oom', 'crash', 'timeout']),
  metric: z.number().nullable(),
  evidence: z.string(),
  ran: z.boolean(),
  reports: z.array(z.object({ step: z.number(), metric: z.number() })),
  seconds: z.number().nonnegative(),
  host: z.string(),
});

const nothing = z.null();

/** Opens or joins the study. Throws UsageError where it was made with other settings, MissingError for a storage that fails. */
export async function createOptunaSampler(request: OptunaRequest): Promise<Sampler> {
  const { python, space, budget } = request;
  const worker = startWorker(python);
  const { batches, rates, spread } = space;
  const points = request.points.map(({ index, factor }) => ({ batch_index: index, ...(spread > 1 ? { lr_factor: factor } : {}) }));
  const { sampler, direction, pruner, seed, storage, study } = request;
  const settings = { batches, rates, spread, points, sampler, budget, direction, pruner, seed, storage, study };
  try {
    await worker.call('start', { ...settings, host: hostname(), startupTrials: STARTUP_TRIALS }, z.object({ optuna: z.string() }));
  } catch (error) {
    await worker.close();
    throw error instanceof WorkerError ? startFailure(error, request) : error;
  }
  return {
    budget,
    async ask() {
      const point = await worker.call('ask', {}, asked.nullable());
      return point && { number: point.number, ...settingAt(space, point), exceeds: point.exceeds };
    },
    report: (number, report) => worker.call('report', { number, ...report }, z.boolean()),
    tell: async (finished) => void (await worker.call('tell', { trial: finished }, nothing)),
    abandon: async (number) => void (await worker.call('abandon', { number }, nothing)),
    trials: () => worker.call('trials', {}, z.object({ trials: z.array(trial), running: z.number().int() })),
    close: () => worker.close(),
  };
}

function startFailure({ code, message }: WorkerError, { storage, study }: OptunaRequest): Error {
  if (code === 'STUDY_DIFFERS' || code === 'STUDY_FOREIGN') {
    return new UsageError(code, `--study ${study}: ${message}`, 'give the flags that it was made with, or another --study');
  }
  const where = storage === null ? 'the study' : `--storage ${hidePassword(storage)}`;
  return new MissingError(
    'STORAGE_UNUSABLE',
    `${where}: ${code}: ${storage === null ? message : message.replaceAll(storage, hidePassword(storage))}`,
    'name a file (journal:///path/study.log) or a database URL (sqlite:///study.db, postgresql://host/name) that can be opened',
  );
}
