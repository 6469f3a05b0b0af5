/** The recipe library: `profiles/recipes/*.yaml`, one small file a recipe. */
import { readFile } from 'node:fs/promises';
import { UsageError } from '../../errors.js';
import { nearestNames } from '../../nearest.js';
import type { ModelFacts } from '../../plan/model-facts.js';
import { defaultRecipe, findRecipe, parseRecipe, type Recipe, sharesRate } from '../../plan/recipe.js';
import { readProfiles } from '../../profiles.js';
import { DEFAULT_SETUP, type Optimizer } from '../../setup.js';

/** Every shipped recipe, by name. */
export async function readRecipes(): Promise<Recipe[]> {
  return [...(await readProfiles('recipes'))].map(([name, content]) => parseRecipe(name, content));
}

/** A shipped recipe, or one of the user's own (a path to a .yaml file). Throws UsageError with the nearest names. */
export async function readRecipe(name: string): Promise<Recipe> {
  if (/\.ya?ml$/i.test(name)) {
    const text = await readFile(name, 'utf8').catch((error: NodeJS.ErrnoException) => {
      throw new UsageError('UNKNOWN_RECIPE', `recipe ${name}: could not be read: ${error.code}`, 'name a shipped recipe or a .yaml file');
    });
    const { parse } = await import('yaml');
    try {
      return parseRecipe(name, parse(text));
    } catch (error) {
      if (error instanceof UsageError) throw error;
      throw new UsageError(
        'BAD_RECIPE',
        `recipe ${name}: not valid YAML: ${(error as Error).message.split('\n', 1)[0]}`,
        'correct the line',
      );
    }
  }
  const shipped = await readProfiles('recipes');
  if (shipped.has(name)) return parseRecipe(name, shipped.get(name));
  const near = nearestNames(name, [...shipped.keys()]);
  throw new UsageError(
    'UNKNOWN_RECIPE',
    `unknown recipe: "${name}"`,
    near.length > 0 ? `did you mean ${near.join(' or ')}? "batchfit profiles recipes" lists all` : '"batchfit profiles recipes" lists all',
  );
}

export interface ChosenRecipe {
  recipe: Recipe | null;
  /** The user named it; else the model is known by it. */
  named: boolean;
  /** The framework default that a learning rate falls back on. */
  fallback: Recipe | null;
  optimizer: Optimizer;
}

/** The recipe to follow and the optimizer that goes with it. Throws UsageError when the two the user named do not agree. */
export async function chooseRecipe(asked: string | undefined, model: ModelFacts, optimizer: Optimizer | undefined): Promise<ChosenRecipe> {
  const all = await readRecipes();
  const recipe = asked === 'none' ? null : asked === undefined ? findRecipe(all, model, optimizer ?? null) : await readRecipe(asked);
  const named = asked !== undefined && asked !== 'none';
  if (named && recipe?.optimizer && optimizer !== undefined && !sharesRate(recipe.optimizer, optimizer)) {
    throw new UsageError(
      'RECIPE_OPTIMIZER',
      `--recipe ${recipe.name}: trains with ${recipe.optimizer}, and --optimizer says ${optimizer}`,
      `leave one of them out: a learning rate of ${recipe.optimizer} is none of ${optimizer}`,
    );
  }
  const chosen = optimizer ?? recipe?.optimizer ?? DEFAULT_SETUP.optimizer;
  return { recipe, named, fallback: defaultRecipe(all, model.task, chosen), optimizer: chosen };
}
