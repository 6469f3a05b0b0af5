/** The speed that a plan counts on: predicted from the device's rates, or a fit through what a probe measured. */
import { UndeterminedError } from '../errors.js';
import type { TargetDevice } from '../machine/machine.js';
import type { ModelGraph } from '../model/graph.js';
import type { Setup } from '../setup.js';
import { batchLadder, type SpeedCurve as Prediction, predictSpeed } from '../speed/predict.js';
import type { StepTraces } from '../trace/index.js';
import type { SpeedCurve } from './throughput.js';

export interface SpeedRequest {
  model: ModelGraph;
  setup: Setup;
  target: TargetDevice;
  /** Largest micro batch that possibly fits. */
  maxMicro: number;
  /** Traces of the model and setup that record kernels, where others use them too. */
  traces: StepTraces;
}

/** Devices together, with their communication. Null where the device's rates are not known, or nothing fits. */
export function foreseeSpeed(request: SpeedRequest): SpeedCurve | null {
  const { setup, maxMicro } = request;
  if (maxMicro < 1) return null;
  const curve = predicted(request, { ...setup, accumulation: 1 });
  return curve && { points: pointsOf(curve, batchLadder(maxMicro)), updateSeconds: curve.updateSeconds(maxMicro) };
}

/**
 * Measured points of one device as they are, and the prediction fitted through them at the batches between and around;
 * the points alone where nothing can be predicted.
 */
export function fitSpeed(request: SpeedRequest, measured: SpeedCurve): SpeedCurve {
  const one = { ...request.setup, gpus: 1, tensorParallel: 1, accumulation: 1 };
  const curve = predicted(request, one, measured);
  if (curve === null) return measured;
  const known = measured.points.map(({ batch }) => batch);
  const around = batchLadder(Math.max(request.maxMicro, ...known));
  return {
    points: pointsOf(
      curve,
      [...new Set([...around, ...known])].sort((a, b) => a - b),
    ),
  };
}

function predicted({ model, target, traces }: SpeedRequest, setup: Setup, measured?: SpeedCurve): Prediction | null {
  try {
    return predictSpeed(model, setup, target, { traces, ...(measured ? { measured: measured.points } : {}) });
  } catch (error) {
    if (error instanceof UndeterminedError) return null;
    throw error;
  }
}

const pointsOf = (curve: Prediction, batches: readonly number[]): SpeedCurve['points'] =>
  batches.map((batch) => {
    const { stepSeconds, source } = curve.at(batch);
    return { batch, stepSeconds, source };
  });
