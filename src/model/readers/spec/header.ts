/** The top of a spec: name, input, classes, blocks and defaults, checked before any layer runs. */
import { UsageError } from '../../../errors.js';
import { refuseHead } from '../../adapt.js';
import type { ModelOptions } from '../../options.js';
import { choice, type Field, integer, integers, type Place, readFields, type Scalar, show, specError } from './fields.js';
import { type Block, LAYERS } from './run.js';

export interface SpecHeader {
  name: string;
  image: [channels: number, height: number, width: number] | null;
  tokens: { vocabulary: number; longest: number } | null;
  features: number | null;
  /** Sequence length of a token input, else 0. */
  length: number;
  classes: number;
  loss: 'cross-entropy' | 'mse';
  blocks: Record<string, Block>;
  defaults: Record<string, Record<string, unknown>>;
  layers: unknown[];
  /** A Hugging Face config instead of layers. */
  config: Record<string, unknown> | null;
}

const text: Field<string> = { expected: 'text', read: (raw) => (typeof raw === 'string' && raw !== '' ? raw : undefined) };
const mapping = (expected: string): Field<Record<string, unknown>> => ({
  expected,
  read: (raw) => (raw !== null && typeof raw === 'object' && !Array.isArray(raw) ? (raw as Record<string, unknown>) : undefined),
  fallback: {},
});
const layers: Field<unknown[]> = {
  expected: 'a list of layers',
  read: (raw) => (Array.isArray(raw) && raw.length > 0 ? raw : undefined),
  fallback: [],
};

const TOP = {
  name: text,
  about: { ...text, fallback: '' },
  parameters: integer(0, 0),
  input: mapping('one of {image: [channels, height, width]}, {tokens: {vocabulary, length}}, {features: N}'),
  classes: integer(1000),
  loss: choice(['cross-entropy', 'mse'], 'cross-entropy'),
  defaults: mapping('fields by layer'),
  blocks: mapping('blocks by name'),
  layers,
  config: { ...mapping('the fields of a Hugging Face config.json'), fallback: {} },
};

/** Reads the top of a spec with the caller's image, sequence and class count put in. Throws UsageError. */
export function readHeader(document: Record<string, unknown>, file: string, options: ModelOptions): SpecHeader {
  const place: Place = { file, path: 'the spec', scope: {} };
  // At the top the field's own name is the path.
  const top = readTop(document, place);
  const isConfig = Object.keys(top.config).length > 0;
  if (isConfig === top.layers.length > 0) {
    throw specError({ file, path: 'layers' }, isConfig ? 'a spec has layers or a config, not both' : 'missing, expected a list of layers');
  }
  if (!isConfig) refuseHead(top.name, options);
  const input = isConfig ? { image: null, tokens: null, features: null, length: 0 } : readInput(top.input, file, options);
  return {
    name: top.name,
    ...input,
    classes: options.classes ?? top.classes,
    loss: top.loss,
    blocks: readBlocks(top.blocks, file),
    defaults: readDefaults(top.defaults, top.blocks, file),
    layers: top.layers,
    config: isConfig ? top.config : null,
  };
}

function readTop(document: Record<string, unknown>, place: Place) {
  const unknown = Object.keys(document).find((key) => !(key in TOP));
  if (unknown !== undefined)
    throw specError({ ...place, path: unknown }, 'unknown field', `the fields of a spec are ${Object.keys(TOP).join(', ')}`);
  return readFields(document, TOP, null, place);
}

function readInput(
  raw: Record<string, unknown>,
  file: string,
  options: ModelOptions,
): Pick<SpecHeader, 'image' | 'tokens' | 'features' | 'length'> {
  const place: Place = { file, path: 'input', scope: {} };
  const none = { image: null, tokens: null, features: null, length: 0 };
  const kinds = Object.keys(raw);
  if (kinds.length !== 1) throw specError(place, `expected ${TOP.input.expected}, found ${show(raw)}`);
  if (kinds[0] !== 'image' && options.image) throw optionError('--image', 'the input is no image');
  if (kinds[0] !== 'tokens' && options.seq !== undefined) throw optionError('--seq', 'the input is no sequence of tokens');
  if (kinds[0] === 'image') {
    const { image } = readFields(
      raw,
      { image: { ...integers(1), expected: 'three whole numbers [channels, height, width]' } },
      null,
      place,
    );
    if (image.length !== 3) throw specError(place, `image: expected three whole numbers [channels, height, width], found ${show(image)}`);
    const [channels, height, width] = image as [number, number, number];
    return { ...none, image: [channels, options.image?.[0] ?? height, options.image?.[1] ?? width] };
  }
  if (kinds[0] === 'tokens') {
    const fields = { vocabulary: integer(), length: integer(), longest: integer(0, 0) };
    const { vocabulary, length, longest } = readFields(raw.tokens, fields, null, { ...place, path: 'input.tokens' });
    return { ...none, tokens: { vocabulary, longest: longest || length }, length: options.seq ?? length };
  }
  const { features } = readFields(raw, { features: integer() }, null, place);
  return { ...none, features };
}

function optionError(flag: string, problem: string): UsageError {
  return new UsageError('BAD_MODEL_OPTION', `${flag}: ${problem}`, `leave ${flag} out`);
}

function readBlocks(raw: Record<string, unknown>, file: string): Record<string, Block> {
  return Object.fromEntries(
    Object.entries(raw).map(([name, block]) => {
      const place: Place = { file, path: `blocks.${name}`, scope: {} };
      if (name in LAYERS) throw specError(place, `"${name}" is a layer already`, 'give the block a name of its own');
      const fields = {
        args: mapping('arguments with their defaults, {width, stride: 1}'),
        checkpoint: CHECKPOINT,
        layers: { ...layers, fallback: undefined },
      };
      const { args, checkpoint, layers: list } = readFields(block, fields, 'layers', place);
      if (!list) throw specError(place, 'layers: missing, expected a list of layers');
      return [name, { args: args as Record<string, Scalar | null>, checkpoint, layers: list }];
    }),
  );
}

const CHECKPOINT: Field<boolean> = {
  expected: 'true or false',
  read: (raw) => (typeof raw === 'boolean' ? raw : undefined),
  fallback: false,
};

function readDefaults(
  raw: Record<string, unknown>,
  blocks: Record<string, unknown>,
  file: string,
): Record<string, Record<string, unknown>> {
  for (const [kind, fields] of Object.entries(raw)) {
    const place = { file, path: `defaults.${kind}` };
    const layer = LAYERS[kind];
    if (!layer) throw specError(place, `there is no layer "${kind}"`, kind in blocks ? 'a block has its defaults in "args"' : '');
    if (fields === null || typeof fields !== 'object' || Array.isArray(fields))
      throw specError(place, `expected fields, found ${show(fields)}`);
    const unknown = Object.keys(fields).find((key) => !(key in layer.fields));
    if (unknown) throw specError(place, `unknown field "${unknown}"`, `its fields are ${Object.keys(layer.fields).join(', ')}`);
  }
  return raw as Record<string, Record<string, unknown>>;
}
