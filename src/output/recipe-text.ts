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

/** A field's value in words: `{ steps: 2000 }` as "steps 2000", a list item by item. */
function renderValue(value: unknown): string {
  if (typeof value === 'number') return formatNumber(value);
  if (Array.isArray(value)) return value.map(renderValue).join('; ');
  if (typeof value !== 'object' || value === null) return `${value}`;
  return Object.entries(value)
    .map(([field, inner]) => `${field} ${renderValue(inner)}`)
    .join(', ');
}

/** Every field that the recipe gives, and where it is from. */
export function renderRecipe(recipe: Recipe): string {
  const { name, title, source, evidence, notes, models, kind, ...fields } = recipe;
  const given = Object.entries(fields).filter(([, value]) => value !== null && !(Array.isArray(value) && value.length === 0));
  const rows = given.map(([field, value]) => [field, renderValue(value)]);
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
