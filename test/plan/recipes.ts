/** The shipped recipes, read for tests. */
import { readdirSync, readFileSync } from 'node:fs';
import { parseRecipe } from '../../src/plan/recipe.js';

const folder = new URL('../../profiles/recipes/', import.meta.url);
export const recipes = readdirSync(folder).map((file) =>
  parseRecipe(file.replace('.yaml', ''), readFileSync(new URL(file, folder), 'utf8')),
);
export const named = (name: string) => recipes.find((recipe) => recipe.name === name)!;
