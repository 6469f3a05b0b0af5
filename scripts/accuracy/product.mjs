/** The built product's own functions: the same that its commands call. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/** `folder`: dist, or src under a loader for TypeScript. */
export async function loadProduct(folder) {
  const load = (file) => import(pathToFileURL(resolve(import.meta.dirname, '..', '..', folder, file)).href);
  const [{ Estimator }, { readModel }, { resolveTarget }, { DEFAULT_SETUP }] = await Promise.all(
    ['memory/estimate.js', 'model/open.js', 'machine/target.js', 'setup.js'].map(load),
  );
  return { Estimator, readModel, resolveTarget, DEFAULT_SETUP };
}
