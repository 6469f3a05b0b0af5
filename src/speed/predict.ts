/** Predicts how fast a setup trains on a device, at any batch; with measured points, a fit through them. */
import { capabilityOf } from '../machine/capability.js';
import type { TargetDevice } from '../machine/machine.js';
import type { ModelGraph } from '../model/graph.js';
import type { Setup } from '../setup.js';
import { generationOf, StepTraces } from '../trace/index.js';
import type { Seconds, Source } from '../units.js';
import { calibrate, type Factors, type MeasuredPoint } from './calibrate.js';
import { COEFFICIENTS } from './constants.js';
import { headlineRate, ratesOf } from './rates.js';
import { combine, type Limit, type StepParts, stepParts, stepTime } from './step-time.js';
import { StepWork } from './step-work.js';

export interface SpeedPoint {
  /** Micro batch on one device. */
  batch: number;
  /** From one update of the weights to the next: all micro batches of an accumulation. */
  stepSeconds: Seconds;
  /** Of the whole job, all devices together. */
  samplesPerSecond: number;
  /** Share of the peak rate that forward and backward reach, recomputation not counted; null where the peak is not known. */
  mfu: number | null;
  limitedBy: Limit;
  source: Source;
}

export interface SpeedCurve {
  /** Multiplications and additions of one sample's forward and backward, as torch.utils.flop_counter has them. */
  flopsPerSample: number;
  source: Source;
  at(batch: number): SpeedPoint;
  /** Part of a step that comes once an update, however many passes it has: the optimizer, and communication that shows. */
  updateSeconds(batch: number): Seconds;
  /** The smallest batch of `ladder` that reaches 95 % of the best throughput on it; null where the ladder is empty. */
  knee(ladder: readonly number[]): number | null;
}

export interface SpeedOptions {
  /** Points from a probe on this device, with this setup. */
  measured?: readonly MeasuredPoint[];
  /** Samples per second that the data loader delivers, all devices together: no step is faster. */
  loaderSamplesPerSecond?: number;
  /** Traces of this model and setup with their kernels, and the work that they amount to, where several devices share them. */
  traces?: StepTraces;
  works?: SharedWorks;
}

/** The work of a step by the generation of devices that run the same kernels. */
export type SharedWorks = Map<number, StepWork>;

/** Share of the best throughput from which on a batch saturates the device. */
export const KNEE_SHARE = 0.95;

/**
 * The speed of training `model` with `setup` on `target`. Throws UsageError for operators without a rule, and
 * UndeterminedError where the device's rates are not known and nothing was measured.
 */
export function predictSpeed(model: ModelGraph, setup: Setup, target: TargetDevice, options: SpeedOptions = {}): SpeedCurve {
  const work = workFor(model, setup, target, options);
  const rates = ratesOf(target, setup.precision);
  const replicas = setup.gpus / setup.tensorParallel;
  const samples = (batch: number): number => batch * setup.accumulation * replicas;
  const known = new Map<number, StepParts>();
  const predicted = (batch: number, factors?: Factors) => {
    const parts = known.get(batch) ?? stepParts(work, setup, batch, rates, COEFFICIENTS);
    known.set(batch, parts);
    return combine(parts, rates, COEFFICIENTS, factors);
  };
  const measured = options.measured ?? [];
  const factors = measured.length > 0 ? calibrate(measured, (batch, tried) => predicted(batch, tried).seconds) : undefined;
  const source: Source = factors ? 'calibrated' : rates.known ? 'estimated' : 'assumed';
  const flops = (batch: number): number => work.at(batch).reduce((sum, w) => sum + (w.phase === 'recompute' ? 0 : w.count * w.flops), 0);
  // A device of a tensor-parallel group does its part of a sample.
  const flopsPerSample = (flops(2) / 2) * setup.tensorParallel;
  const loader = options.loaderSamplesPerSecond ?? Number.POSITIVE_INFINITY;

  const at = (batch: number): SpeedPoint => {
    const { seconds, limitedBy } = predicted(batch, factors);
    const exact = measured.find((point) => point.batch === batch);
    const stepSeconds = Math.max(exact?.stepSeconds ?? seconds, samples(batch) / loader);
    const work = flopsPerSample * batch * setup.accumulation;
    return {
      batch,
      stepSeconds,
      samplesPerSecond: samples(batch) / stepSeconds,
      mfu: rates.known ? work / setup.tensorParallel / stepSeconds / headlineRate(rates, setup.precision) : null,
      limitedBy,
      source: exact ? 'measured' : source,
    };
  };
  const knee = (ladder: readonly number[]): number | null => {
    const points = ladder.map(at);
    const best = Math.max(...points.map((point) => point.samplesPerSecond));
    const reaching = points.filter((point) => point.samplesPerSecond >= KNEE_SHARE * best);
    return reaching.length === 0 ? null : Math.min(...reaching.map((point) => point.batch));
  };
  const updateSeconds = (batch: number): Seconds => {
    const [once, twice] = [1, 2].map((accumulation) => stepTime(work, { ...setup, accumulation }, batch, rates, COEFFICIENTS).seconds);
    return Math.max(0, 2 * (once as number) - (twice as number));
  };
  return { flopsPerSample, source, at, updateSeconds, knee };
}

/** Powers of two up to a batch, and that batch. */
export function batchLadder(maxBatch: number): number[] {
  const ladder: number[] = [];
  for (let batch = 1; batch < maxBatch; batch *= 2) ladder.push(batch);
  return maxBatch >= 1 ? [...ladder, maxBatch] : [];
}

function workFor(model: ModelGraph, setup: Setup, target: TargetDevice, options: SpeedOptions): StepWork {
  const { traces = new StepTraces(model, setup, true), works = new Map() } = options;
  const capability = capabilityOf(target);
  const generation = generationOf(capability, traces.convolves);
  const known = works.get(generation);
  if (known) return known;
  const accumulating = setup.accumulation > 1 || setup.zeroGrad === 'to-zero';
  const work = new StepWork((batch) => traces.trace(batch, { capability, outOfPlaceSums: false, accumulating }));
  works.set(generation, work);
  return work;
}
