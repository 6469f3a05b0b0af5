/** `batchfit engines install torch`: PyTorch in a virtual environment of its own, in the user's data folder. */
import { type Environment, installEnvironment } from '../../python-environment.js';
import { torchFolder } from './python.js';

/** The release that the engine is tested with. */
export const TORCH_VERSION = '2.13.0';

/** Throws MissingError when Python, its venv module or the package cannot be had. */
export function installTorch(options: { onProgress: (text: string) => void; signal: AbortSignal }): Promise<Environment> {
  return installEnvironment({ folder: torchFolder(), module: 'torch', requirements: [`torch==${TORCH_VERSION}`, 'numpy'] }, options);
}
