/** Fields of a Hugging Face config.json: their kinds, and the defaults of each config class (transformers 5). */
import { UsageError } from '../../../errors.js';

/** A field's default and the values it takes; null as a default allows null. */
export interface ConfigField<T> {
  fallback: T;
  expected: string;
  accepts(value: unknown): boolean;
}
type Fields = Record<string, ConfigField<unknown>>;
export type Config<F extends Fields> = { [K in keyof F]: F[K] extends ConfigField<infer T> ? T : never };

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

/** A count or size: a whole number from 1. */
export function whole(fallback: number): ConfigField<number>;
export function whole(fallback: null): ConfigField<number | null>;
export function whole(fallback: number | null): ConfigField<number | null> {
  const accepts = (value: unknown) =>
    (isNumber(value) && Number.isSafeInteger(value) && value >= 1) || (fallback === null && value === null);
  return { fallback, expected: 'a whole number from 1', accepts };
}

/** Any number: -1 and 0 have a meaning of their own. */
export function numeric(fallback: number): ConfigField<number>;
export function numeric(fallback: null): ConfigField<number | null>;
export function numeric(fallback: number | null): ConfigField<number | null> {
  return { fallback, expected: 'a number', accepts: (value) => isNumber(value) || (fallback === null && value === null) };
}

/** A dropout probability. */
export function probability(fallback: number): ConfigField<number>;
export function probability(fallback: null): ConfigField<number | null>;
export function probability(fallback: number | null): ConfigField<number | null> {
  const accepts = (value: unknown) => (isNumber(value) && value >= 0 && value <= 1) || (fallback === null && value === null);
  return { fallback, expected: 'a probability from 0 to 1', accepts };
}

export function truth(fallback: boolean): ConfigField<boolean> {
  return { fallback, expected: 'true or false', accepts: (value) => typeof value === 'boolean' };
}

/** One of the words that the reader knows. */
export function word<const T extends string>(options: readonly T[], fallback: T): ConfigField<T> {
  return { fallback, expected: `one of ${options.join(', ')}`, accepts: (value) => options.includes(value as T) };
}

/** A structure that the family's reader looks into. */
export function structure<T>(fallback: T, expected: string, accepts: (value: unknown) => boolean): ConfigField<T> {
  return { fallback, expected, accepts: (value) => value === null || accepts(value) };
}

/**
 * The fields of a config with the class's defaults filled in. `aliases` names other spellings (GPT-2's `hidden_size` is
 * `n_embd`). Throws UsageError naming the file and the field for a value of the wrong kind; fields it does not know are
 * left alone, as transformers does.
 */
export function readConfig<F extends Fields>(
  raw: Record<string, unknown>,
  fields: F,
  file: string,
  aliases: Record<string, string> = {},
): Config<F> {
  const values: Record<string, unknown> = {};
  const spellings = Object.entries(aliases);
  for (const [name, field] of Object.entries(fields)) {
    const key = name in raw ? name : (spellings.find(([alias, target]) => target === name && alias in raw)?.[0] ?? name);
    const given = raw[key];
    if (given === undefined || (given === null && !field.accepts(null))) values[name] = field.fallback;
    else if (field.accepts(given)) values[name] = given ?? field.fallback;
    else throw configError(file, key, `expected ${field.expected}, found ${JSON.stringify(given)}`);
  }
  return values as Config<F>;
}

/** Throws where `parts` does not divide `total`. */
export function checkDivides(file: string, total: [name: string, value: number], parts: [name: string, value: number]): void {
  if (total[1] % parts[1] !== 0) throw configError(file, parts[0], `${parts[1]} does not divide ${total[0]} ${total[1]}`);
}

export function configError(file: string, field: string, problem: string, hint = 'correct the config.json'): UsageError {
  return new UsageError('BAD_CONFIG', `${file}: ${field}: ${problem}`, hint);
}

/** The share of a head's features that rotate: in `rope_parameters`, or under the name that older configs had. */
export function rotaryFraction(raw: Record<string, unknown>, legacy: string, fallback: number, file: string): number {
  const rope = raw.rope_parameters as { partial_rotary_factor?: unknown } | null | undefined;
  const value = rope?.partial_rotary_factor ?? raw[legacy] ?? raw.partial_rotary_factor ?? fallback;
  if (typeof value !== 'number' || !(value > 0 && value <= 1))
    throw configError(file, legacy, `expected a share from 0 to 1, found ${JSON.stringify(value)}`);
  return value;
}
