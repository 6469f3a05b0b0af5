/** What a layer of the spec is: its fields, and what it does to a value. */
import type { GraphBuilder, Value } from '../../builder.js';
import type { Size } from '../../graph.js';
import { type FieldTable, type FieldValues, type Place, specError } from './fields.js';

/** What a layer may use beside its own fields. */
export interface LayerContext {
  g: GraphBuilder;
  place: Place;
  /** Vocabulary and longest sequence of a token input. */
  tokens: { vocabulary: number; longest: number } | null;
  /** Runs a list of layers that is a part of this one ("body"), in a submodule of that name where one is given. */
  run(layers: unknown[], x: Value, field: string, module?: string): Value;
  /** Lets the sequence be at most this long. */
  limitLength(longest: number): void;
}

export interface Layer {
  /** The field that a bare value stands for. */
  main: string | null;
  fields: FieldTable;
  /** False for layers whose parts belong to the module around them. */
  ownModule: boolean;
  apply(context: LayerContext, x: Value, fields: Record<string, unknown>): Value;
}

/** Defines a layer; its function gets the fields with their types. */
export function layer<const F extends FieldTable>(
  main: (keyof F & string) | null,
  fields: F,
  apply: (context: LayerContext, x: Value, fields: FieldValues<F>) => Value,
  ownModule = true,
): Layer {
  return { main, fields, ownModule, apply: apply as Layer['apply'] };
}

/** Thrown where a weight's size depends on the image or sequence size: the reader then fixes that size and starts again. */
export class NeedsFixedSize extends Error {}

/** An extent that a weight takes its size from. Throws NeedsFixedSize for a symbolic one. */
export function fixedExtent(extent: Size | undefined, place: Place): number {
  if (typeof extent === 'number') return extent;
  if (extent === undefined || /\bB\b/.test(extent))
    throw specError(place, `a weight can't depend on the batch (its size would be ${extent})`);
  throw new NeedsFixedSize();
}

/** Throws unless `x` is an image [B, channels, height, width]. */
export function expectImage(x: Value, place: Place): void {
  if (x.shape.length !== 4) throw specError(place, `expected an image [B, channels, height, width], found the shape ${shapeText(x.shape)}`);
}

/** Throws unless `x` is a sequence [B, length, features]. */
export function expectSequence(x: Value, place: Place): void {
  if (x.shape.length !== 3) throw specError(place, `expected a sequence [B, length, features], found the shape ${shapeText(x.shape)}`);
}

export function shapeText(shape: readonly Size[]): string {
  return `[${shape.join(', ')}]`;
}

/** Input channels: of an image its second extent, else the last. */
export function channelsOf(x: Value): Size {
  const [, second] = x.shape;
  return x.shape.length === 4 && typeof second === 'number' ? second : (x.shape.at(-1) as Size);
}
