/** One training setup on many devices: what fits, how fast it runs, what an epoch takes and costs. */
import { UndeterminedError, type Warning } from '../errors.js';
import type { TargetDevice } from '../machine/machine.js';
import { Estimator } from '../memory/estimate.js';
import { Simulators } from '../memory/simulators.js';
import type { ModelGraph } from '../model/graph.js';
import type { Precision, Setup } from '../setup.js';
import { tileRows } from '../speed/kernel-time.js';
import { batchLadder, predictSpeed, type SharedWorks, type SpeedCurve, type SpeedOptions } from '../speed/predict.js';
import type { Limit } from '../speed/step-time.js';
import { StepTraces } from '../trace/index.js';
import type { Seconds, Source } from '../units.js';

export interface ComparedDevice {
  /** As the user named it. */
  device: string;
  /** Whether one sample fits, or the batch that was asked for. */
  fits: boolean;
  /** Largest micro batch that probably fits, 0 where none does. */
  maxBatch: number;
  /** Micro batch that the figures are for; null where nothing fits. */
  batch: number | null;
  stepSeconds: Seconds | null;
  /** All devices of the job together. */
  samplesPerSecond: number | null;
  mfu: number | null;
  /** `memory`: nothing fits, or a larger batch would be faster and does not fit. */
  limitedBy: Limit | 'memory' | null;
  /** Smallest power of two, or largest batch, with 95 % of the best throughput that fits. */
  knee: number | null;
  secondsPerEpoch: Seconds | null;
  costPerEpoch: number | null;
  source: Source;
}

export interface ComparisonRequest {
  model: ModelGraph;
  setup: Setup;
  /** Micro batch on every device, or the largest that fits on each. */
  batch: number | 'auto';
  targets: { device: string; target: TargetDevice }[];
  datasetSize: number | null;
  /** Price of one device for an hour, by the name that the user gave it. */
  prices: ReadonlyMap<string, number>;
}

export interface Comparison {
  rows: ComparedDevice[];
  flopsPerSample: number | null;
  parameters: number;
  trainableParameters: number;
  warnings: Warning[];
}

/** Compares devices in the order given. Throws UsageError where the setup or an operator is not covered. */
export function compareDevices(request: ComparisonRequest): Comparison {
  const { model, setup, targets } = request;
  const traces = new StepTraces(model, setup, true);
  const works: SharedWorks = new Map();
  const simulators = new Simulators(model, setup, traces);
  const warnings: Warning[] = [];
  const curves: SpeedCurve[] = [];
  const estimators = targets.map(({ target }) => new Estimator(model, setup, target, simulators));
  const rows = targets.map(({ device, target }, i) => {
    const estimator = estimators[i] as Estimator;
    const maxBatch = estimator.largest('best');
    const tile = samplesOfTile(target, setup.precision);
    const batch = request.batch === 'auto' ? wholeTiles(maxBatch, tile) : request.batch;
    const fits = batch >= 1 && (batch <= maxBatch || estimator.fits(batch, 'best'));
    if (fits && batch !== wholeTiles(batch, tile)) warnings.push(paddedBatch(device, batch, tile));
    const curve = speedOf(model, setup, target, { traces, works }, warnings);
    if (curve) curves.push(curve);
    return compared({ device, fits, maxBatch, batch: fits ? batch : null, curve, request });
  });
  const counts = estimators[0]?.trace(2);
  return {
    rows,
    flopsPerSample: curves[0]?.flopsPerSample ?? null,
    parameters: counts?.parameters ?? 0,
    trainableParameters: counts?.trainableParameters ?? 0,
    warnings,
  };
}

/** Samples that a compiler's tiles are filled by: 1 where it pads none. */
function samplesOfTile({ profile }: TargetDevice, precision: Precision): number {
  return profile?.tileElements ? tileRows(profile.tileElements[0], /(bf|fp)16$/.test(precision)) : 1;
}

/** The largest batch that fills whole tiles, or a smaller one that fills none. */
function wholeTiles(batch: number, tile: number): number {
  return batch > tile ? batch - (batch % tile) : batch;
}

function paddedBatch(device: string, batch: number, tile: number): Warning {
  const message = `${device}: a batch of ${batch} takes as long as ${Math.ceil(batch / tile) * tile}, its compiler pads to tiles of ${tile}`;
  return { code: 'PADDED_BATCH', message, hint: `take a multiple of ${tile}, and channels in multiples of 128` };
}

function speedOf(model: ModelGraph, setup: Setup, target: TargetDevice, shared: SpeedOptions, warnings: Warning[]): SpeedCurve | null {
  try {
    return predictSpeed(model, setup, target, shared);
  } catch (error) {
    if (!(error instanceof UndeterminedError)) throw error;
    warnings.push({ code: error.code, message: error.message, hint: error.hint });
    return null;
  }
}

export const COMPARISON_ORDERS = ['throughput', 'cost', 'memory', 'name'] as const;
export type ComparisonOrder = (typeof COMPARISON_ORDERS)[number];

/** Best first; devices without the figure come last, and equal ones keep their order. */
export function sortRows(rows: readonly ComparedDevice[], order: ComparisonOrder): ComparedDevice[] {
  if (order === 'name') return [...rows].sort((a, b) => a.device.localeCompare(b.device, 'en'));
  const rank = (row: ComparedDevice): number =>
    order === 'throughput'
      ? -(row.samplesPerSecond ?? 0)
      : order === 'memory'
        ? -row.maxBatch
        : (row.costPerEpoch ?? Number.POSITIVE_INFINITY);
  return [...rows].sort((a, b) => (rank(a) === rank(b) ? 0 : rank(a) - rank(b)));
}

interface Found {
  device: string;
  fits: boolean;
  maxBatch: number;
  batch: number | null;
  curve: SpeedCurve | null;
  request: ComparisonRequest;
}

const SECONDS_PER_HOUR = 3600;

function compared({ device, fits, maxBatch, batch, curve, request }: Found): ComparedDevice {
  const { setup, datasetSize, prices } = request;
  const point = curve && batch !== null ? curve.at(batch) : null;
  const secondsPerEpoch = point && datasetSize !== null ? datasetSize / point.samplesPerSecond : null;
  const price = prices.get(device);
  return {
    device,
    fits,
    maxBatch,
    batch,
    stepSeconds: point?.stepSeconds ?? null,
    samplesPerSecond: point?.samplesPerSecond ?? null,
    mfu: point?.mfu ?? null,
    limitedBy: !fits || (point && curve && heldBack(curve, point.batch, maxBatch)) ? 'memory' : (point?.limitedBy ?? null),
    knee: curve && maxBatch > 0 ? curve.knee(batchLadder(maxBatch)) : null,
    secondsPerEpoch,
    costPerEpoch: secondsPerEpoch !== null && price !== undefined ? (price * setup.gpus * secondsPerEpoch) / SECONDS_PER_HOUR : null,
    source: point?.source ?? 'estimated',
  };
}

/** How much faster twice the batch would have to be for memory to be what limits. */
const WORTH_MORE_MEMORY = 1.05;

function heldBack(curve: SpeedCurve, batch: number, maxBatch: number): boolean {
  return 2 * batch > maxBatch && curve.at(2 * batch).samplesPerSecond > WORTH_MORE_MEMORY * curve.at(batch).samplesPerSecond;
}
