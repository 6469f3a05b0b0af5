/** The setting that a plan's learning rate starts from: the user's, a recipe's, or a framework's default. */
import type { Hyperparameters } from './hyperparameters.js';
import type { RateReference } from './learning-rate.js';
import { OPTIMIZER_DEFAULTS } from './optimizer.js';
import type { Recipe } from './recipe.js';
import type { PlanInput } from './training-plan.js';

/** `recipeBatch` is the recipe's batch in samples of this model, null where that is not known. */
export function chooseReference(
  { request, fallback, optimizer }: PlanInput,
  recipe: Recipe | null,
  recipeBatch: number | null,
  settings: Hyperparameters,
): RateReference {
  const momentum = settings.momentum;
  if (request.reference !== null) {
    const { rule, limit } = recipe ?? { rule: null, limit: null };
    return { ...request.reference, origin: 'user', name: 'the reference setting', source: 'given by the user', rule, limit, momentum };
  }
  if (recipe !== null && recipe.learningRate !== null && recipeBatch !== null) {
    const { learningRate, name, rule, limit, source } = recipe;
    return { batch: recipeBatch, learningRate, origin: 'recipe', name, source: source[0]!, rule, limit, momentum };
  }
  if (fallback !== null && fallback.learningRate !== null) {
    const { learningRate, name, rule, source } = fallback;
    // A default that its framework does not scale was made for no batch in particular.
    const batch = rule === 'none' ? null : fallback.batch;
    return { batch, learningRate, origin: 'default', name, source: source[0]!, rule, limit: null, momentum };
  }
  const { learningRate, source } = OPTIMIZER_DEFAULTS[optimizer];
  return { batch: null, learningRate, origin: 'default', name: source, source, rule: null, limit: null, momentum };
}
