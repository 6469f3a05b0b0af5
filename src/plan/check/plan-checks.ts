/** A saved plan held against a machine: the facts it adds, and the checks it asks for by itself. */
import type { Bytes, Source } from '../../units.js';
import type { Check, Fact, Facts } from './fact.js';

/** What is looked at of a plan. */
export interface SavedPlan {
  fits: boolean;
  device: { kind: string; name: string };
  setup: { gpus: number };
  batch: { micro: number; accumulation: number; effective: number } | null;
  throughput: { samplesPerSecond: number | null; source: Source | null };
  loader: { workers: number; hostBytes: Bytes | null } | null;
}

/** The device here, and what the plan's micro batch needs on it. */
export interface Fit {
  device: { kind: string; name: string; count: number; usableBytes: Bytes };
  neededBytes: Bytes;
  fits: boolean;
  /** It fits by the best estimate but not by its upper bound. */
  tight: boolean;
  note: string;
}

/** `fit` says why it is not known where the device is not here or cannot be read. */
export function planFacts(plan: SavedPlan, fit: Fit | { kind: 'missing' | 'unknown'; reason: string }): Facts {
  const known = 'kind' in fit ? null : fit;
  const of = (fact: Fact): Fact => ('kind' in fit ? fit : fact);
  const { samplesPerSecond: rate, source } = plan.throughput;
  // A prediction is good enough to plan with, not to pass a check with.
  const isSeen = source === 'measured' || source === 'calibrated';
  return {
    fits: of({ kind: 'truth', value: known?.fits ?? false }),
    'memory.needed': of({ kind: 'bytes', value: known?.neededBytes ?? 0 }),
    'memory.usable': of({ kind: 'bytes', value: known?.device.usableBytes ?? 0 }),
    throughput:
      rate === null || !isSeen
        ? { kind: 'unknown', reason: 'nobody measured the throughput of this plan: plan with --probe' }
        : { kind: 'number', value: rate },
    'batch.micro': batchFact(plan, (batch) => batch.micro),
    'batch.accumulation': batchFact(plan, (batch) => batch.accumulation),
    'batch.effective': batchFact(plan, (batch) => batch.effective),
  };
}

function batchFact({ batch }: SavedPlan, pick: (batch: NonNullable<SavedPlan['batch']>) => number): Fact {
  return batch === null
    ? { kind: 'unknown', reason: 'the plan has no batch, because nothing fitted' }
    : { kind: 'count', value: pick(batch) };
}

/** What every plan asks for: its kind of device, as many of them, and that it fits; with warnings on what slows it down. */
export function planChecks(plan: SavedPlan, facts: Facts, fit: Fit | { kind: 'missing' | 'unknown'; reason: string }): Check[] {
  const checks: Check[] = [];
  const say = (name: string, level: Check['level'], expected: string, found: Check['found'], passed: boolean, note: string) =>
    checks.push({ name, level, expected, found, passed, outcome: passed ? 'passed' : 'failed', note: passed ? '' : note });
  if ('kind' in fit) {
    checks.push({ name: 'plan.fits', level: 'error', expected: 'yes', found: null, passed: false, outcome: fit.kind, note: fit.reason });
    return checks;
  }
  const { device } = fit;
  say(
    'plan.device.kind',
    'error',
    plan.device.kind,
    device.kind,
    device.kind === plan.device.kind,
    'the plan was made for another kind of device',
  );
  say(
    'plan.device.name',
    'warn',
    plan.device.name,
    device.name,
    device.name === plan.device.name,
    'the plan was made for another device: memory was estimated anew, speed was not',
  );
  say(
    'plan.device.count',
    'error',
    `>= ${plan.setup.gpus}`,
    device.count,
    device.count >= plan.setup.gpus,
    'fewer devices than the plan divides its batch over',
  );
  checks.push({
    name: 'plan.fits',
    level: 'error',
    expected: 'yes',
    found: fit.fits,
    passed: fit.fits,
    outcome: fit.fits ? 'passed' : 'failed',
    note: fit.note,
  });
  if (fit.fits) say('plan.fits.surely', 'warn', 'yes', !fit.tight, !fit.tight, 'it fits by the best estimate, and not by its upper bound');
  const hostBytes = plan.loader?.hostBytes ?? null;
  const available = facts['host.available'];
  if (hostBytes !== null && available?.kind === 'bytes') {
    say(
      'plan.loader.memory',
      'warn',
      `>= ${hostBytes} bytes`,
      available.value,
      available.value >= hostBytes,
      'the batches in flight take more host memory than there is',
    );
  }
  const cores = facts['cpu.cores'];
  if (plan.loader !== null && cores?.kind === 'count') {
    say(
      'plan.loader.workers',
      'warn',
      `>= ${plan.loader.workers} cores`,
      cores.value,
      cores.value >= plan.loader.workers,
      'more loader workers than cores',
    );
  }
  return checks;
}
