/** A study of one process: grid or random, without Python. Every trial is written down when it ends. */
import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { isHopeless } from './median.js';
import type { Asked, Direction, Pruner, Report, Sampler, TuneTrial } from './sampler.js';
import { drawPoint, type Point, settingAt, type TuneSpace } from './space.js';

export interface LocalRequest {
  space: TuneSpace;
  /** The points of a grid, in order; null to draw them. */
  grid: Point[] | null;
  budget: number;
  direction: Direction;
  pruner: Pruner;
  /** Uniform in [0, 1). */
  random: () => number;
  /** A file that gets one JSON line a trial. */
  journal: string;
}

export function createLocalSampler({ space, grid, budget, direction, pruner, random, journal }: LocalRequest): Sampler {
  const trials: TuneTrial[] = [];
  const reports = new Map<number, Report[]>();
  let asked = 0;

  const ceiling = () => Math.min(Infinity, ...trials.filter(({ outcome }) => outcome === 'oom').map(({ batch }) => batch));

  return {
    budget,

    async ask(): Promise<Asked | null> {
      if (asked >= budget) return null;
      const point = grid === null ? drawPoint(space, ceiling(), random) : (grid[asked] ?? null);
      if (point === null) return null;
      const setting = settingAt(space, point);
      return { number: asked++, ...setting, exceeds: setting.batch >= ceiling() ? ceiling() : null };
    },

    async report(number, report) {
      const own = [...(reports.get(number) ?? []), report];
      reports.set(number, own);
      const finished = trials.filter(({ outcome }) => outcome === 'done').map((trial) => trial.reports);
      return pruner === 'median' && isHopeless(own, finished, direction);
    },

    async tell(trial) {
      trials.push(trial);
      mkdirSync(dirname(journal), { recursive: true });
      appendFileSync(journal, `${JSON.stringify({ schema: 'batchfit/tune-trial@1', ...trial })}\n`);
    },

    async abandon() {},
    trials: async () => ({ trials, running: 0 }),
    async close() {},
  };
}
