/** A recipe: a published or default training setting that is known to work. Its YAML is in `profiles/recipes/`. */
import { z } from 'zod';
import { UsageError } from '../errors.js';
import { OPTIMIZERS, type Optimizer } from '../setup.js';
import { formatNumber } from './advice.js';

const positive = z.number().positive();
const count = z.number().int().positive();
const beta = z.number().min(0).lt(1);

export const RECIPE_RULES = ['linear', 'sqrt', 'lamb', 'none'] as const;
export const TASKS = [
  'image-classification',
  'object-detection',
  'language-model',
  'masked-language-model',
  'sequence-classification',
  'fine-tuning',
  'speech',
  'contrastive',
  'diffusion',
  'any',
] as const;
export type Task = (typeof TASKS)[number];

const schema = z.strictObject({
  title: z.string(),
  /** `published`: someone reached a good result with it; `default`: a framework starts from it. */
  kind: z.enum(['published', 'default']),
  /** Whether the numbers were read in the publication itself or in a text that cites it. */
  evidence: z.enum(['primary', 'secondary']),
  source: z.union([z.string(), z.array(z.string()).nonempty()]).transform((source) => (typeof source === 'string' ? [source] : source)),
  task: z.enum(TASKS),
  /** Models that it is taken for without being asked for; `*` stands for any end of a name. */
  models: z.array(z.string()),
  optimizer: z.enum(OPTIMIZERS).nullable().default(null),
  batch: count,
  unit: z.enum(['samples', 'tokens']),
  /** Tokens per sample that it was trained with. */
  sequence: count.nullable().default(null),
  /** Peak rate; null where no source that was read gives one. */
  learningRate: positive.nullable().default(null),
  /** Rates that the publication tries in turn. */
  alternatives: z.array(positive).default([]),
  /** How its authors scale the rate with the batch, or the optimizer's rule where they do not say. */
  rule: z.enum(RECIPE_RULES),
  /** Largest batch that the rule was shown to hold at. */
  limit: count.nullable().default(null),
  warmup: z
    .strictObject({
      epochs: positive.optional(),
      steps: count.optional(),
      tokens: count.optional(),
      fraction: positive.lt(1).optional(),
      /** Rate that it starts from; 0 unless given. */
      from: z.number().nonnegative().optional(),
      /** Only for batches above this one. */
      above: count.optional(),
    })
    .nullable()
    .default(null),
  momentum: beta.nullable().default(null),
  beta1: beta.nullable().default(null),
  beta2: beta.nullable().default(null),
  eps: positive.nullable().default(null),
  weightDecay: z.number().nonnegative().nullable().default(null),
  clipGradNorm: positive.nullable().default(null),
  epochs: positive.nullable().default(null),
  steps: count.nullable().default(null),
  tokens: positive.nullable().default(null),
  /** The learning rate's decay, in words. */
  decay: z.string().nullable().default(null),
  /** A batch that grows: from how many tokens on it is how large (in `unit`). */
  ramp: z.array(z.strictObject({ batch: count, fromTokens: z.number().nonnegative() })).default([]),
  /** False where accumulation does not reproduce the batch (contrastive losses). */
  accumulable: z.boolean().default(true),
  notes: z.array(z.string()).default([]),
});

export type Recipe = z.infer<typeof schema> & { name: string };

const RECIPE_HINT = 'a shipped one shows the fields: batchfit profiles recipes hf-trainer-default';

/** Checks one recipe's content. Throws UsageError naming the file and the field. */
export function parseRecipe(name: string, content: unknown): Recipe {
  const parsed = schema.safeParse(content);
  if (parsed.success) return { name, ...parsed.data };
  const issue = parsed.error.issues[0]!;
  throw new UsageError('BAD_RECIPE', `recipe ${name}: ${issue.path.join('.') || 'top level'}: ${issue.message}`, RECIPE_HINT);
}

/** A recipe as a plan that follows it names it: its notes say what the plan has no field for. */
export function followed({ name, title, alternatives, decay, notes }: Recipe, named: boolean) {
  const rates = alternatives.length > 0 ? [`its authors choose the best of the rates ${alternatives.map(formatNumber).join(', ')}`] : [];
  const schedule = decay === null ? [] : [`decay of the learning rate: ${decay}`];
  return { name, title, named, notes: [...rates, ...schedule, ...notes] };
}

/** Optimizers that share one learning rate: the weight decay's form or the look-ahead does not change it. */
const FAMILIES: Optimizer[][] = [
  ['momentum', 'nesterov'],
  ['adam', 'adamw', 'adamw-8bit'],
];

/** Whether a rate found with one optimizer is one for the other. */
export function sharesRate(a: Optimizer, b: Optimizer): boolean {
  return a === b || FAMILIES.some((family) => family.includes(a) && family.includes(b));
}

/** Batch of a recipe in samples, for a model that sees `sequence` tokens a sample; null when that is not known. */
export function batchInSamples(recipe: Recipe, sequence: number | null): number | null {
  const tokens = recipe.unit === 'tokens' ? recipe.batch : recipe.sequence === null ? null : recipe.batch * recipe.sequence;
  if (tokens === null) return recipe.batch;
  if (sequence === null) return recipe.unit === 'samples' ? recipe.batch : null;
  return Math.max(1, Math.round(tokens / sequence));
}

/** The published recipe that a model is trained with when nobody names one; `optimizer` null when the user chose none. */
export function findRecipe(recipes: Recipe[], model: { name: string; task: Task | null }, optimizer: Optimizer | null): Recipe | null {
  const fits = (recipe: Recipe) =>
    recipe.kind === 'published' &&
    recipe.learningRate !== null &&
    recipe.models.some((pattern) => matches(pattern, model.name)) &&
    (optimizer === null || (recipe.optimizer !== null && sharesRate(recipe.optimizer, optimizer))) &&
    !(isTokenTask(recipe.task) && model.task !== recipe.task);
  return recipes.filter(fits).sort((a, b) => rank(a) - rank(b))[0] ?? null;
}

/** A primary source first, and a plain optimizer before one for very large batches. */
const rank = (recipe: Recipe) => (recipe.evidence === 'primary' ? 0 : 2) + (recipe.rule === 'lamb' ? 1 : 0);

const isTokenTask = (task: Task) => task === 'masked-language-model' || task === 'sequence-classification';

function matches(pattern: string, name: string): boolean {
  const bare = name.replace(/^(timm|torchvision|hf):/, '').toLowerCase();
  return pattern.endsWith('*') ? bare.startsWith(pattern.slice(0, -1)) : bare === pattern;
}

/** The framework default that a rate may start from when there is no recipe. */
export function defaultRecipe(recipes: Recipe[], task: Task | null, optimizer: Optimizer): Recipe | null {
  const candidates = recipes.filter(
    (recipe) => recipe.kind === 'default' && recipe.optimizer !== null && sharesRate(recipe.optimizer, optimizer),
  );
  const exact = candidates.find((recipe) => recipe.task === task);
  const language = task === 'language-model' || task === 'masked-language-model' || task === 'sequence-classification';
  return exact ?? (language ? (candidates.find((recipe) => recipe.task === 'any') ?? null) : null);
}
