/** Loads TensorFlow.js in the child: the only place where TensorFlow comes in. */
import { createRequire } from 'node:module';
import util from 'node:util';
import type { Flavor } from './locate.js';
import type { TF } from './value.js';

export interface LoadedEngine {
  tf: TF;
  /** "cuda" or "cpu". */
  deviceKind: string;
  /** "tfjs-node 4.22.0 (TensorFlow 2.21.0)". */
  backend: string;
  version: string;
}

/** `entry` is the package's main file. Throws what the package throws when its addon or libraries do not load. */
export async function loadTensorFlow(flavor: Flavor, entry: string): Promise<LoadedEngine> {
  restoreUtilFunctions();
  const require = createRequire(entry);
  const tf = require(entry) as TF & { version: Record<string, string> };
  if (flavor === 'tfjs') await tf.setBackend('cpu');
  await tf.ready();
  const version = tf.version.tfjs ?? tf.version['tfjs-core'] ?? 'unknown';
  if (flavor === 'tfjs') return { tf, version, deviceKind: 'cpu', backend: `tfjs ${version} cpu (pure JS)` };
  const native = tf.backend() as unknown as { isUsingGpuDevice?: boolean; binding?: { TF_Version?: string } };
  return {
    tf,
    version,
    deviceKind: native.isUsingGpuDevice ? 'cuda' : 'cpu',
    backend: `${flavor} ${version} (TensorFlow ${native.binding?.TF_Version ?? 'unknown'})`,
  };
}

/** Node 23 removed two functions of `util` that tfjs-node 4.22 calls. */
function restoreUtilFunctions(): void {
  const functions = util as unknown as Record<string, unknown>;
  functions.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  functions.isArray ??= Array.isArray;
}
