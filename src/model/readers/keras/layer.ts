/** What a Keras layer is to the reader: a function of tensors in Keras' own axis order that adds ATen calls to the graph. */
import type { GraphBuilder, Value } from '../../builder.js';
import type { Size } from '../../graph.js';
import type { LayerDocument } from './document.js';
import { type Fields, layerError, type Place } from './fields.js';

/** One call of a layer. */
export interface LayerCall {
  g: GraphBuilder;
  fields: Fields;
  place: Place;
  /** The tensors of the first argument, then of the others, in order. */
  inputs: Value[];
  /** Arguments by position; tensors, numbers, lists. */
  args: readonly unknown[];
  /** Arguments by name. */
  named: Readonly<Record<string, unknown>>;
  /** A weight of the layer; frozen where the layer is, or where `trained` is false. */
  weight(name: string, shape: number[], trained?: boolean): Value;
  /** Whether the layer's weights are trained. */
  trainable: boolean;
  /** Calls a layer that this one holds, as its submodule. */
  call(layer: LayerDocument, inputs: Value[]): Value[];
}

export type Layer = (call: LayerCall) => Value | Value[];

/** The tensor that a layer of one input gets. */
export function only({ inputs, place }: LayerCall): Value {
  const [x] = inputs;
  if (!x) throw layerError(place, 'expected one input, found none');
  return x;
}

/** An extent that a weight takes its size from. */
export function known(extent: Size | undefined, place: Place): number {
  if (typeof extent === 'number') return extent;
  throw layerError(place, `a weight can't depend on the batch (its size would be ${extent ?? 'missing'})`);
}

/** Throws unless the tensor has `rank` dimensions. */
export function expectRank(x: Value, rank: number, place: Place): void {
  if (x.shape.length !== rank) throw layerError(place, `expected ${rank} dimensions, found the shape ${shapeText(x.shape)}`);
}

/** A dimension counted from the end, from the front. Throws where there is none. */
export function axisOf(axis: number, x: Value, place: Place): number {
  const index = axis < 0 ? axis + x.shape.length : axis;
  if (index < 0 || index >= x.shape.length) throw layerError(place, `there is no axis ${axis} in the shape ${shapeText(x.shape)}`);
  return index;
}

export function shapeText(shape: readonly Size[]): string {
  return `[${shape.join(', ')}]`;
}
