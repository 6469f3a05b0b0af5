/** A model's inputs: their shapes with the batch open, and the sides that the caller chooses. */
import { UsageError } from '../../../errors.js';
import type { GraphBuilder, Value } from '../../builder.js';
import type { DType, Size } from '../../graph.js';
import type { ModelOptions } from '../../options.js';
import type { LayerDocument, ModelDocument } from './document.js';
import { layerError, type Place, show } from './fields.js';

interface Input {
  name: string;
  place: Place;
  /** Behind the batch; null where the file leaves it open. */
  extents: (number | null)[];
  dtype: string;
  /** Rows of the embedding that reads it. */
  tokens: number | null;
}

/** Declares the inputs of the model at the top, in its own order. Throws UsageError where a side is open or an option has no use. */
export function declareInputs(g: GraphBuilder, model: ModelDocument, options: ModelOptions): Value[] {
  const inputs = findInputs(model);
  const images = inputs.filter(isImage);
  const sequences = inputs.filter(isSequence);
  if (options.image && images.length === 0) throw refused('--image', `${model.place.name} has no input of images`);
  if (options.seq !== undefined && sequences.length === 0) throw refused('--seq', `${model.place.name} has no input of sequences`);
  return inputs.map((input) => {
    const extents = [...input.extents];
    if (isImage(input)) {
      const [height, width] = spatial(input);
      if (options.image) [extents[height], extents[width]] = options.image;
      const sides = [extents[height], extents[width]];
      if (sides.some((side) => side === null)) throw openSide(input, 'height and width', '--image N');
      for (const [index, name] of (['H', 'W'] as const).entries()) fix(g, name, sides[index] as number);
    } else if (isSequence(input)) {
      extents[0] = options.seq ?? extents[0] ?? null;
      if (extents[0] === null) throw openSide(input, 'length', '--seq N');
      fix(g, 'S', extents[0]);
    }
    if (extents.some((extent) => extent === null)) throw openSide(input, 'sides', 'keras.Input(shape=...) with all sides');
    const shape: Size[] = ['B', ...(extents as number[])];
    if (input.tokens !== null) return g.input(input.name, shape, 'int32', 'data', input.tokens);
    const dtype = dtypeOf(input);
    return g.input(input.name, shape, dtype, 'data', ...(dtype === 'model' ? [] : [2]));
  });
}

/** A size that is built in: a symbol of one value, so that it is shown. */
function fix(g: GraphBuilder, symbol: 'S' | 'H' | 'W', value: number): void {
  g.symbol(symbol, { default: value, min: value, max: value });
}

function findInputs(model: ModelDocument): Input[] {
  const tokens = embeddingsOf(model);
  const declared = model.layers.filter(({ place }) => place.className === 'InputLayer');
  if (!model.sequential) {
    return model.inputs.map(({ layer }) => {
      const found = declared.find(({ place }) => place.name === layer);
      if (!found) throw layerError(model.place, `input_layers: there is no InputLayer "${layer}"`);
      return readInput(found, found.builtFor, tokens);
    });
  }
  const [first] = model.layers;
  if (!first) throw layerError(model.place, 'layers: expected at least one layer');
  const shape = first.builtFor ?? model.builtFor;
  if (!Array.isArray(shape)) {
    throw layerError(
      model.place,
      'it was never built: neither an InputLayer nor the first layer says the shape of the input',
      'put keras.Input(shape=...) first, or call model.build(), and save the model again',
    );
  }
  return [readInput(first, shape, tokens)];
}

function readInput(layer: LayerDocument, shape: unknown, tokens: Map<string, number>): Input {
  const extents = Array.isArray(shape) ? shape.slice(1) : null;
  const valid = extents?.every((extent) => extent === null || (Number.isSafeInteger(extent) && (extent as number) > 0));
  if (!extents || !valid) throw layerError(layer.place, `expected a shape [batch, ...], found ${show(shape)}`);
  const { name } = layer.place;
  const dtype = typeof layer.config.dtype === 'string' && layer.place.className === 'InputLayer' ? layer.config.dtype : 'float32';
  return { name: name.replaceAll('.', '_'), place: layer.place, extents, dtype, tokens: tokens.get(name) ?? null };
}

/** Rows of the embedding that reads an input, by the input's name. */
function embeddingsOf(model: ModelDocument): Map<string, number> {
  const found = new Map<string, number>();
  model.layers.forEach((layer, index) => {
    const rows = layer.config.input_dim;
    if (layer.place.className !== 'Embedding' || typeof rows !== 'number') return;
    const before = model.layers[index - 1];
    if (model.sequential && (!before || before.place.className === 'InputLayer')) found.set((before ?? layer).place.name, rows);
    for (const { args } of layer.calls) {
      for (const argument of args) {
        if ('reference' in argument) found.set(argument.reference.layer, Math.min(rows, found.get(argument.reference.layer) ?? rows));
      }
    }
  });
  return found;
}

const isImage = ({ extents }: Input): boolean => extents.length === 3;
const isSequence = ({ extents, tokens }: Input): boolean =>
  extents.length === 2 || (extents.length === 1 && (extents[0] === null || tokens !== null));

/** Channels are the last side, unless only the first can be. */
function spatial({ extents: [first, , last] }: Input): [number, number] {
  const few = (extent: number | null | undefined): boolean => typeof extent === 'number' && extent <= 4;
  return few(first) && !few(last) ? [1, 2] : [0, 1];
}

function dtypeOf({ dtype, place }: Input): DType {
  if (/^(float|bfloat)/.test(dtype)) return 'model';
  const integers: Record<string, DType> = { int32: 'int32', int64: 'int64', uint8: 'uint8', int8: 'int8', int16: 'int16', bool: 'bool' };
  const found = integers[dtype];
  if (!found) throw layerError(place, `dtype: "${dtype}" is not supported`, 'a model is read from its tensors of numbers on');
  return found;
}

function openSide({ place, extents }: Input, sides: string, cure: string): UsageError {
  return layerError(
    place,
    `its ${sides} are open: the shape is [${['batch', ...extents.map((extent) => extent ?? 'any')].join(', ')}]`,
    `give ${cure}`,
  );
}

function refused(flag: string, problem: string): UsageError {
  return new UsageError('BAD_MODEL_OPTION', `${flag}: ${problem}`, `leave ${flag} out`);
}
