/** Gradient norms in PyTorch: the worker of a trial, told to measure instead of timing steps. */
import { type ChildResult, runChild } from '../../child.js';
import type { NoiseTrial } from '../../noise/order.js';
import { requireTorch, WORKER } from './engine.js';
import { findTorch } from './python.js';

/** Threads that wait for each other actively are ten times slower on a machine that others use too; no step is timed here. */
const ENVIRONMENT = { PYTHONDONTWRITEBYTECODE: '1', OMP_WAIT_POLICY: 'PASSIVE' };

/** Throws MissingError where no Python has PyTorch, and the signal's reason when aborted. */
export async function runTorchNoise(trial: NoiseTrial, signal: AbortSignal): Promise<ChildResult> {
  const { python } = requireTorch(await findTorch(signal));
  return runChild({
    command: [python.path, WORKER],
    input: JSON.stringify(trial),
    environment: ENVIRONMENT,
    timeoutSeconds: trial.timeoutSeconds,
    memoryCapBytes: null,
    signal,
  });
}
