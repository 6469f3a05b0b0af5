/**
 * Fields of a spec's layers: what each holds, its default, and the message when it does not. One table a layer serves
 * the check and the reader. (Not zod: its import alone costs more than reading a profile may.)
 */
import { BatchfitError, UsageError } from '../../../errors.js';
import { evaluateExpression } from '../../sizes.js';

/** Where a value stands, for messages: the file, the path of the field, and the names an expression may use. */
export interface Place {
  file: string;
  path: string;
  scope: Record<string, Scalar>;
}
export type Scalar = number | string | boolean;

/** How one field is read; without a default it must be there. */
export interface Field<T> {
  expected: string;
  read(raw: unknown, place: Place): T | undefined;
  fallback?: T;
}
export type FieldTable = Record<string, Field<unknown>>;
export type FieldValues<F extends FieldTable> = { [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** A whole number from `least`, or an expression over block arguments ("4*width", "in//4"). */
export function integer(fallback?: number, least = 1): Field<number> {
  const expected = `a whole number from ${least}, or an expression`;
  return withFallback({ expected, read: (raw, place) => readInteger(raw, place, least) }, fallback);
}

/** An integer, or [height, width]. */
export function integerPair(fallback?: number, least = 1): Field<[number, number]> {
  const read = (raw: unknown, place: Place): [number, number] | undefined => {
    const [height, width] =
      Array.isArray(raw) && raw.length === 2 ? raw.map((part) => readInteger(part, place, least)) : [readInteger(raw, place, least)];
    return height === undefined || (Array.isArray(raw) && width === undefined) ? undefined : [height, width ?? height];
  };
  const field = { expected: `a whole number from ${least}, or a pair of them [height, width]`, read };
  return withFallback(field, fallback === undefined ? undefined : [fallback, fallback]);
}

/** A number in [low, high], or a block argument's name. */
export function real(fallback: number, low = 0, high = Number.MAX_VALUE): Field<number> {
  const read = (raw: unknown, place: Place): number | undefined => {
    const value = lookUp(raw, place);
    return typeof value === 'number' && value >= low && value <= high ? value : undefined;
  };
  return { expected: high === Number.MAX_VALUE ? `a number from ${low}` : `a number from ${low} to ${high}`, read, fallback };
}

export function flag(fallback: boolean): Field<boolean> {
  const read = (raw: unknown, place: Place): boolean | undefined => {
    const value = lookUp(raw, place);
    return typeof value === 'boolean' ? value : undefined;
  };
  return { expected: 'true or false', read, fallback };
}

export function choice<const T extends string>(options: readonly T[], fallback?: T): Field<T> {
  const read = (raw: unknown, place: Place): T | undefined => {
    const value = lookUp(raw, place);
    return options.find((option) => option === value);
  };
  return withFallback({ expected: `one of ${options.join(', ')}`, read }, fallback);
}

/** A list of whole numbers. */
export function integers(least = 0): Field<number[]> {
  const read = (raw: unknown, place: Place): number[] | undefined => {
    if (!Array.isArray(raw) || raw.length === 0) return undefined;
    const values = raw.map((part) => readInteger(part, place, least));
    return values.some((value) => value === undefined) ? undefined : (values as number[]);
  };
  return { expected: 'a list of whole numbers', read };
}

/** A list of layers, read where it is run. */
export function layerList(fallback?: unknown[]): Field<unknown[]> {
  return withFallback({ expected: 'a list of layers', read: (raw: unknown) => (Array.isArray(raw) ? raw : undefined) }, fallback);
}

/**
 * Reads a layer's fields. A bare value stands for the `main` field: `linear: 10` is `linear: {out: 10}`.
 * Throws UsageError for an unknown or missing field and a wrong value.
 */
export function readFields<F extends FieldTable>(raw: unknown, table: F, main: string | null, place: Place): FieldValues<F> {
  const given = asMapping(raw, table, main, place);
  const unknown = Object.keys(given).find((key) => !(key in table));
  if (unknown !== undefined) {
    const names = Object.keys(table);
    throw specError(place, `unknown field "${unknown}"`, names.length > 0 ? `its fields are ${names.join(', ')}` : 'it has no fields');
  }
  const values: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(table)) values[key] = readField(given, key, field, place);
  return values as FieldValues<F>;
}

function asMapping(raw: unknown, table: FieldTable, main: string | null, place: Place): Record<string, unknown> {
  if (raw === undefined || raw === null) return {};
  const bare = typeof raw !== 'object' || Array.isArray(raw);
  if (!bare) return raw as Record<string, unknown>;
  if (main === null) throw specError(place, `expected fields (${Object.keys(table).join(', ') || 'none'}), found ${show(raw)}`);
  return { [main]: raw };
}

function readField(given: Record<string, unknown>, key: string, field: Field<unknown>, place: Place): unknown {
  const inner = { ...place, path: `${place.path}.${key}` };
  if (given[key] === undefined || given[key] === null) {
    if (!('fallback' in field)) throw specError(inner, `missing, expected ${field.expected}`);
    return field.fallback;
  }
  const value = field.read(given[key], inner);
  if (value === undefined) throw specError(inner, `expected ${field.expected}, found ${show(given[key])}`);
  return value;
}

/** An integer or the value of an expression; undefined when it is neither, or below `least`. */
export function readInteger(raw: unknown, place: Place, least: number): number | undefined {
  const value = typeof raw === 'string' ? evaluate(raw, place) : raw;
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= least ? value : undefined;
}

function evaluate(text: string, place: Place): number {
  const numbers = Object.fromEntries(Object.entries(place.scope).filter(([, value]) => typeof value === 'number')) as Record<
    string,
    number
  >;
  try {
    return evaluateExpression(text, numbers);
  } catch (error) {
    if (!(error instanceof BatchfitError)) throw error;
    throw specError(
      place,
      error.message.replace(/^size /, 'expression '),
      'an expression uses the arguments of its block, "in" (input channels) and "classes"',
    );
  }
}

function lookUp(raw: unknown, place: Place): unknown {
  return typeof raw === 'string' && raw in place.scope ? place.scope[raw] : raw;
}

function withFallback<T>(field: Field<T>, fallback: T | undefined): Field<T> {
  return fallback === undefined ? field : { ...field, fallback };
}

/** A UsageError that names the file and the field. */
export function specError(place: Pick<Place, 'file' | 'path'>, problem: string, hint = ''): UsageError {
  return new UsageError('BAD_SPEC', `${place.file}: ${place.path}: ${problem}`, hint || 'docs/spec.md lists the layers and their fields');
}

/** A found value, short enough for a message. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
