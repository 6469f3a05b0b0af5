/** The shipped recipes, read for tests. */
import { parseRecipe } from '../../src/plan/recipe.js';
import { parseSources } from '../../src/profiles.js';

export const recipes = [...(await parseSources('recipes'))].map(([name, content]) => parseRecipe(name, content));
export const named = (name: string) => recipes.find((recipe) => recipe.name === name)!;
