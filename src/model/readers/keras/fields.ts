/** Reads the fields of a layer's config: each getter says what it expected where something else stands. */
import { UsageError } from '../../../errors.js';

/** Where a layer stands, for messages. */
export interface Place {
  file: string;
  /** "config.layers[3]". */
  path: string;
  className: string;
  name: string;
}

/** A UsageError that names the file, the layer's place, its class and its name. */
export function layerError(place: Place, problem: string, hint = '', code = 'BAD_MODEL'): UsageError {
  const hints = hint || 'save the model again with model.to_json(), or describe it in a .yaml spec';
  return new UsageError(code, `${place.file}: ${place.path} (${place.className} "${place.name}"): ${problem}`, hints);
}

/** What a layer cannot be read with, by its name: "unsupported". */
export function unsupportedLayer(place: Place, problem: string, hint = 'docs/formats.md lists what is read of Keras'): UsageError {
  return layerError(place, problem, hint, 'UNSUPPORTED_MODEL');
}

export class Fields {
  constructor(
    private readonly config: Readonly<Record<string, unknown>>,
    readonly place: Place,
  ) {}

  raw(key: string): unknown {
    return this.config[key];
  }

  has(key: string): boolean {
    return this.config[key] !== undefined && this.config[key] !== null;
  }

  /** A whole number from `least`. */
  integer(key: string, fallback?: number, least = 1): number {
    const value = this.given(key, fallback, `a whole number from ${least}`);
    return Number.isSafeInteger(value) && (value as number) >= least
      ? (value as number)
      : this.refuse(key, `a whole number from ${least}`, value);
  }

  number(key: string, fallback?: number): number {
    const value = this.given(key, fallback, 'a number');
    return typeof value === 'number' ? value : this.refuse(key, 'a number', value);
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.given(key, fallback, 'true or false');
    return typeof value === 'boolean' ? value : this.refuse(key, 'true or false', value);
  }

  text(key: string, options: readonly string[], fallback: string): string {
    const value = this.given(key, fallback, options.join(' or '));
    return options.includes(value as string) ? (value as string) : this.refuse(key, `one of ${options.join(', ')}`, value);
  }

  /** `count` whole numbers, one for each dimension; one number stands for all. */
  integers(key: string, count: number, fallback?: number, least = 1): number[] {
    const expected = `${count === 1 ? 'a whole number' : `${count} whole numbers`} from ${least}`;
    const value = this.given(key, fallback, expected);
    const list = Array.isArray(value) ? value : new Array(count).fill(value);
    const valid = list.length === count && list.every((each) => Number.isSafeInteger(each) && each >= least);
    return valid ? list : this.refuse(key, expected, value);
  }

  /** One or more whole numbers of any sign: axes, a target shape. */
  list(key: string, fallback?: number[]): number[] {
    const value = this.given(key, fallback, 'whole numbers');
    const list = Array.isArray(value) ? value : [value];
    return list.every((each) => Number.isSafeInteger(each)) ? list : this.refuse(key, 'whole numbers', value);
  }

  refuse(key: string, expected: string, found: unknown): never {
    throw layerError(this.place, `${key}: expected ${expected}, found ${show(found)}`);
  }

  private given(key: string, fallback: unknown, expected: string): unknown {
    const value = this.config[key] ?? fallback;
    if (value === undefined) throw layerError(this.place, `${key}: missing, expected ${expected}`);
    return value;
  }
}

/** A found value, short enough for a message. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
