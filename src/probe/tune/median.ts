/** Stops a trial whose best value so far is worse than the median of finished trials at the same step. */
import type { Direction, Report } from './sampler.js';

/** Finished trials before anything is stopped; Optuna's worker is given the same number. */
export const STARTUP_TRIALS = 4;

/** Optuna's MedianPruner (Golovin et al. 2017, the median stopping rule): values of other trials are taken at that very step. */
export function isHopeless(own: Report[], finished: Report[][], direction: Direction): boolean {
  const step = own.at(-1)?.step;
  if (step === undefined || finished.length < STARTUP_TRIALS) return false;
  const others = finished.flatMap((reports) => reports.find((report) => report.step === step)?.metric ?? []).sort((a, b) => a - b);
  if (others.length === 0) return false;
  const half = others.length / 2;
  const median = others.length % 2 === 1 ? others[Math.floor(half)]! : (others[half - 1]! + others[half]!) / 2;
  const values = own.map(({ metric }) => metric);
  return direction === 'min' ? Math.min(...values) > median : Math.max(...values) < median;
}
