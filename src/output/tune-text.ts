/** What a study found: as its document's fields, and for people. */
import { formatNumber } from '../plan/advice.js';
import type { RateRule } from '../plan/learning-rate.js';
import { bestOf, type Direction, type SamplerName, type TuneTrial } from '../probe/tune/sampler.js';
import type { TuneSpace } from '../probe/tune/space.js';
import { hidePassword } from '../probe/tune/storage.js';
import type { StudyResult } from '../probe/tune/study.js';
import type { Optimizer } from '../setup.js';
import { table } from './tables.js';

export interface StudyFacts {
  command: string[];
  space: TuneSpace;
  sampler: SamplerName;
  direction: Direction;
  reference: { batch: number; learningRate: number; optimizer: Optimizer; rule: RateRule };
  budget: number;
  shared: { storage: string; study: string } | null;
  journal: string | null;
  seconds: number;
}

export function describeStudy({ trials, running, reason, interrupted }: StudyResult, facts: StudyFacts) {
  const { space, direction, shared, ...rest } = facts;
  const best = bestOf(trials, direction);
  const started = trials.filter(({ ran }) => ran);
  return {
    ...rest,
    direction,
    space: { settings: space.batches.map((batch, at) => ({ batch, learningRate: space.rates[at]! })), lrSpread: space.spread },
    best: best && { batch: best.batch, learningRate: best.learningRate, metric: best.metric!, number: best.number },
    reason: reasonOf(trials, best, direction),
    ended: reason,
    trials,
    runningElsewhere: running,
    largestRun: maxOrNull(started.filter(({ outcome }) => outcome === 'done' || outcome === 'pruned')),
    smallestOutOfMemory: minOrNull(started.filter(({ outcome }) => outcome === 'oom')),
    shared: shared && { ...shared, storage: hidePassword(shared.storage) },
    interrupted,
  };
}

export function renderStudy({ trials, reason }: StudyResult, direction: Direction, rule: RateRule): string {
  const best = bestOf(trials, direction);
  const answer = best
    ? `best: batch ${best.batch} with learning rate ${formatNumber(best.learningRate)}, metric ${formatNumber(best.metric!)}`
    : 'no best setting';
  const rows = trials.map((trial) => [
    String(trial.number + 1),
    String(trial.batch),
    formatNumber(trial.learningRate),
    trial.metric === null ? '-' : formatNumber(trial.metric),
    trial === best ? 'done, best' : trial.outcome,
    trial.ran ? `${trial.seconds.toFixed(1)} s` : '-',
    trial.outcome === 'done' ? '' : trial.evidence.slice(0, 80),
  ]);
  const head = ['trial', 'batch', 'learning rate', 'metric', 'outcome', 'time', 'evidence'];
  const align = ['right', 'right', 'right', 'right', 'left', 'right', 'left'] as const;
  return [
    answer,
    reasonOf(trials, best, direction),
    `${reason}; the learning rate follows the batch by the ${rule === 'none' ? 'reference, unscaled' : `${rule} rule`}`,
    '',
    table(head, rows, { align: [...align] }),
  ].join('\n');
}

/** The best against the runner-up of another batch, because one run of each says little about a small gap. */
function reasonOf(trials: TuneTrial[], best: TuneTrial | null, direction: Direction): string {
  const counts = (['done', 'pruned', 'oom', 'timeout', 'crash'] as const)
    .map((outcome) => [trials.filter((trial) => trial.outcome === outcome).length, outcome] as const)
    .filter(([count]) => count > 0)
    .map(([count, outcome]) => `${count} ${outcome}`)
    .join(', ');
  if (best === null) return trials.length === 0 ? 'no trial ended' : `of ${trials.length} trials none ended with a metric (${counts})`;
  const most = direction === 'min' ? 'smallest' : 'largest';
  const next = bestOf(
    trials.filter(({ batch }) => batch !== best.batch),
    direction,
  );
  const gap = next
    ? `; the best of another batch is ${formatNumber(next.metric!)} at ${next.batch}, one run each: repeat with other seeds if that is close`
    : '';
  return `the ${most} metric of ${trials.length} trials (${counts})${gap}`;
}

const maxOrNull = (trials: TuneTrial[]) => (trials.length === 0 ? null : Math.max(...trials.map(({ batch }) => batch)));
const minOrNull = (trials: TuneTrial[]) => (trials.length === 0 ? null : Math.min(...trials.map(({ batch }) => batch)));
