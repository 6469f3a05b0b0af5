/** Finds a Python that has Optuna, and installs one into the user's data folder. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { MissingError } from '../../errors.js';
import { dataFolder } from '../data-folder.js';
import { type Python, pythonCandidates, pythonOfEnvironment } from '../engines/torch/python.js';
import { type Environment, importVersion, installEnvironment } from '../python-environment.js';

/** The release that tune is tested with. */
export const OPTUNA_VERSION = '5.0.0';

const optunaFolder = () => join(dataFolder(), 'engines', 'optuna');

/** The user's own Pythons before the one that `engines install optuna` made. Throws MissingError with what to install. */
export async function requireOptuna(signal: AbortSignal): Promise<string> {
  const own: Python = { path: pythonOfEnvironment(optunaFolder()), origin: 'batchfit engines install optuna' };
  const candidates = [...pythonCandidates(), ...(process.env.BATCHFIT_PYTHON || !existsSync(own.path) ? [] : [own])];
  for (const { path } of candidates) if (await importVersion(path, 'optuna', signal)) return path;
  const tried = candidates.map(({ path, origin }) => `${path} (${origin})`).join(', ');
  throw new MissingError(
    'OPTUNA_MISSING',
    `Bayesian search and shared studies need Optuna, and no Python here has it: ${tried || 'no Python was found'}`,
    `run: batchfit engines install optuna, or: pip install optuna==${OPTUNA_VERSION}`,
  );
}

export function installOptuna(options: { onProgress: (text: string) => void; signal: AbortSignal }): Promise<Environment> {
  return installEnvironment({ folder: optunaFolder(), module: 'optuna', requirements: [`optuna==${OPTUNA_VERSION}`] }, options);
}
