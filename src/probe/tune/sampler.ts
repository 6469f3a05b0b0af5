/** Who decides what a study tries next, which trials are hopeless, and who remembers them: this process, or Optuna. */
import type { Setting } from './space.js';

export const SAMPLERS = ['grid', 'random', 'bayesian'] as const;
export type SamplerName = (typeof SAMPLERS)[number];
export const PRUNERS = ['median', 'none'] as const;
export type Pruner = (typeof PRUNERS)[number];
export const DIRECTIONS = ['min', 'max'] as const;
export type Direction = (typeof DIRECTIONS)[number];

/**
 * `done`: it ended well and said its metric. `pruned`: stopped early, or its metric was no number. `oom`: memory ran out,
 * with evidence, or did at a smaller batch (`ran` false). `timeout`: its time was up. `crash`: all else that ends badly.
 */
export type TuneOutcome = 'done' | 'pruned' | 'oom' | 'crash' | 'timeout';

export interface Report {
  step: number;
  metric: number;
}

export interface TuneTrial extends Setting {
  /** Counted from 0 within the study. */
  number: number;
  outcome: TuneOutcome;
  /** The last value that the command said; null when it said none that is a number. */
  metric: number | null;
  evidence: string;
  /** Whether the command was started: a batch above one that ran out of memory is not. */
  ran: boolean;
  reports: Report[];
  seconds: number;
  /** The machine that ran it. */
  host: string;
}

export interface Asked extends Setting {
  number: number;
  /** The smallest batch that ran out of memory on this machine, where this one is no smaller: it need not be run. */
  exceeds: number | null;
}

export interface Sampler {
  /** Trials that the study is to have. */
  readonly budget: number;
  /** The next setting, or null when none is left to take. */
  ask(): Promise<Asked | null>;
  /** Notes an intermediate value; true when the trial is hopeless. */
  report(number: number, report: Report): Promise<boolean>;
  tell(trial: TuneTrial): Promise<void>;
  /** The trial was broken off: it counts for nothing, and may be taken again. */
  abandon(number: number): Promise<void>;
  /** Every finished trial of the study, those of other processes as well, and how many others still run. */
  trials(): Promise<{ trials: TuneTrial[]; running: number }>;
  close(): Promise<void>;
}

/** The best finished trial, null when none is. */
export function bestOf(trials: TuneTrial[], direction: Direction): TuneTrial | null {
  const better = (a: number, b: number) => (direction === 'min' ? a < b : a > b);
  return trials
    .filter((trial) => trial.outcome === 'done' && trial.metric !== null)
    .reduce<TuneTrial | null>((best, trial) => (best === null || better(trial.metric!, best.metric!) ? trial : best), null);
}
