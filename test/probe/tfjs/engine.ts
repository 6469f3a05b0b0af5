/** Loads the installed engine into the test's own process, which the program itself never does. */
import { type LoadedEngine, loadTensorFlow } from '../../../src/probe/engines/tfjs/load.js';
import { locateTfjs } from '../../../src/probe/engines/tfjs/locate.js';

/** Fails the test when no native engine is installed. */
export async function loadNativeEngine(): Promise<LoadedEngine> {
  // What TensorFlow says about itself is no part of a test's output.
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
  const candidate = locateTfjs().find(({ flavor }) => flavor !== 'tfjs');
  if (!candidate) throw new Error('these tests need the native engine: run batchfit engines install tfjs');
  return loadTensorFlow(candidate.flavor, candidate.entry);
}
