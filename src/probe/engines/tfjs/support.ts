/** What of a setup TensorFlow.js can do. What would change the step is refused; what it has no notion of is said. */
import type { Warning } from '../../../errors.js';
import { DEFAULT_SETUP, type Setup } from '../../../setup.js';

/** Why this setup cannot run here, or null. */
export function whyUnsupported(setup: Setup, deviceKind: string): string | null {
  if (setup.precision === 'tf32' && deviceKind !== 'cuda') return 'TF32 is a mode of NVIDIA GPUs; this engine runs on the CPU here';
  if (setup.precision !== 'fp32' && setup.precision !== 'tf32') return `TensorFlow.js computes in float32, not in ${setup.precision}`;
  if (setup.checkpointing !== 'none') return `TensorFlow.js keeps all activations: no checkpointing "${setup.checkpointing}"`;
  if (setup.method !== 'full') return `the tfjs engine trains all weights, not with method "${setup.method}"`;
  if (setup.attention !== 'auto' && setup.attention !== 'math')
    return `TensorFlow.js has no ${setup.attention} attention kernel, only "math"`;
  if (setup.gpus * setup.tensorParallel > 1) return 'TensorFlow.js trains on one device';
  return null;
}

/** Choices that have no counterpart in TensorFlow.js and change nothing here. */
export function ignoredChoices(setup: Setup): Warning[] {
  const ignored: [string, unknown, unknown][] = [
    ['--optimizer-impl', setup.optimizerImplementation, DEFAULT_SETUP.optimizerImplementation],
    ['--zero-grad', setup.zeroGrad, DEFAULT_SETUP.zeroGrad],
    ['--zero-grad-position', setup.zeroGradPosition, DEFAULT_SETUP.zeroGradPosition],
  ];
  return ignored.flatMap(([flag, found, standard]) =>
    found === standard
      ? []
      : [{ code: 'TFJS_IGNORES', message: `TensorFlow.js has no counterpart of ${flag} ${found}`, hint: `leave ${flag} out` }],
  );
}
