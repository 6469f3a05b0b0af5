/** Recipes for people. */
import { formatNumber } from '../plan/advice.js';
import type { Recipe } from '../plan/recipe.js';
import { table } from './tables.js';

/** One line: "momentum, batch 256, learning rate 0.1 (linear), image-classification". */
export function summarizeRecipe({ optimizer, batch, unit, sequence, learningRate, rule, task, kind }: Recipe): string {
  const size =
    unit === 'tokens' ? `${batch.toLocaleString('en')} tokens` : `batch ${batch}${sequence === null ? '' : ` x ${sequence} tokens`}`;
  const rate = learningRate === null ? 'no learning rate' : `learning rate ${formatNumber(learningRate)} (${rule})`;
  return [optimizer ?? 'any optimizer', size, rate, task === 'any' ? '' : task, kind === 'default' ? 'framework default' : '']
    .filter(Boolean)
    .join(', ');
}

/** Every field that the recipe gives, and where it is from. */
export function renderRecipe(recipe: Recipe): string {
  const { name, title, source, evidence, notes, models, kind, ...fields } = recipe;
  const given = Object.entries(fields).filter(([, value]) => value !== null && !(Array.isArray(value) && value.length === 0));
  const rows = given.map(([field, value]) => [
    field,
    typeof value === 'number' ? formatNumber(value) : typeof value === 'object' ? JSON.stringify(value) : `${value}`,
  ]);
  return [
    `${name}: ${title}${kind === 'default' ? ' (a default, not a result)' : ''}`,
    ...(models.length > 0 ? [`taken by itself for ${models.join(', ')}`] : []),
    '',
    table(['field', 'value'], rows, { align: ['left', 'left'] }),
    '',
    `source: ${source.join('; ')}${evidence === 'secondary' ? ' (read in a text that cites it)' : ''}`,
    ...notes.map((note) => `- ${note}`),
  ].join('\n');
}
