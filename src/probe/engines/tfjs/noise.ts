/** Gradient norms in TensorFlow.js: a trial's child, told to measure instead of timing steps. */
import { UsageError } from '../../../errors.js';
import { type ChildResult, runChild } from '../../child.js';
import type { NoiseTrial } from '../../noise/order.js';
import { childCommand } from './check.js';
import { chooseCandidate, environmentOf, missing, orderOf, refuse } from './engine.js';

/** Throws MissingError without TensorFlow.js, UsageError for what it cannot run, and the signal's reason when aborted. */
export async function runTfjsNoise(trial: NoiseTrial, signal: AbortSignal): Promise<ChildResult> {
  const chosen = await chooseCandidate(process.cwd());
  signal.throwIfAborted();
  if (!('candidate' in chosen)) throw missing(chosen.broken);
  const refusal = refuse(trial, chosen.check.device);
  if (refusal) throw new UsageError('NOISE_UNSUPPORTED', refusal, 'use --engine torch');
  return runChild({
    command: childCommand(),
    environment: environmentOf(trial, chosen),
    input: JSON.stringify({ ...orderOf(trial, chosen.candidate), noise: trial.noise }),
    timeoutSeconds: trial.timeoutSeconds,
    memoryCapBytes: null,
    signal,
  });
}
