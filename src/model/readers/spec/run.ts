/** Runs lists of layers: names their modules, expands blocks, and keeps the path for messages. */
import type { GraphBuilder, Value } from '../../builder.js';
import type { Size } from '../../graph.js';
import { nearestNames } from '../../nearest.js';
import { integer, type Place, readFields, type Scalar, show, specError } from './fields.js';
import { channelsOf, type LayerContext } from './layer.js';
import { SIMPLE_LAYERS } from './layers/simple.js';
import { STRUCTURE_LAYERS } from './layers/structure.js';
import { TRANSFORMER_LAYERS } from './layers/transformer.js';
import { WEIGHT_LAYERS } from './layers/weights.js';

export const LAYERS = { ...WEIGHT_LAYERS, ...SIMPLE_LAYERS, ...TRANSFORMER_LAYERS, ...STRUCTURE_LAYERS };

/** A block of the file: layers with arguments. */
export interface Block {
  /** Arguments by name; null has no default. */
  args: Record<string, Scalar | null>;
  /** Each call of it is a region of full activation checkpointing. */
  checkpoint: boolean;
  layers: unknown[];
}

export interface Program {
  g: GraphBuilder;
  file: string;
  blocks: Record<string, Block>;
  /** Fields that the file sets for all layers of a kind. */
  defaults: Record<string, Record<string, unknown>>;
  tokens: LayerContext['tokens'];
  limitLength(longest: number): void;
  /** A size at the input's own image or sequence size. */
  sizeOf(size: Size): number;
}

type Counts = Map<string, number>;
const INTEGER = integer(undefined, Number.MIN_SAFE_INTEGER);

/** Runs a list of layers on `x`. Throws UsageError naming the place of a mistake. */
export function runLayers(
  program: Program,
  layers: unknown[],
  x: Value,
  path: string,
  scope: Place['scope'],
  counts: Counts = new Map(),
): Value {
  return layers.reduce<Value>((value, entry, index) => runLayer(program, entry, value, `${path}[${index}]`, scope, counts), x);
}

function runLayer(program: Program, entry: unknown, x: Value, path: string, scope: Place['scope'], counts: Counts): Value {
  const { kind, fields } = splitEntry(entry, { file: program.file, path });
  const channels = channelsOf(x);
  const place: Place = {
    file: program.file,
    path: `${path}.${kind}`,
    scope: typeof channels === 'number' ? { ...scope, in: channels } : scope,
  };
  const block = program.blocks[kind];
  if (block) return runBlock(program, kind, block, fields, x, place, counts);
  const layer = LAYERS[kind];
  if (!layer) throw unknownLayer(kind, program, place);
  const values = readFields(withDefaults(fields, program.defaults[kind], layer.main), layer.fields, layer.main, place);
  // The parts of a body share one count, also where it is run again: conv1, conv2 ...
  const inner: Counts = layer.ownModule ? new Map() : counts;
  const context: LayerContext = {
    g: program.g,
    place,
    tokens: program.tokens,
    limitLength: program.limitLength,
    run: (layers, value, field, module) => {
      const run = (names: Counts) => runLayers(program, layers, value, `${place.path}.${field}`, scope, names);
      return module === undefined ? run(inner) : program.g.inModule(module, () => run(new Map()));
    },
  };
  const apply = () => layer.apply(context, x, values);
  const result = layer.ownModule ? program.g.inModule(count(counts, kind), apply) : apply();
  const sizes = result.shape.map(program.sizeOf);
  if (sizes.some((size) => size < 1))
    throw specError(
      place,
      `nothing is left: the result has the shape [${sizes.join(', ')}]`,
      'take a larger input, or smaller kernels and strides',
    );
  return result;
}

function runBlock(program: Program, kind: string, block: Block, fields: unknown, x: Value, place: Place, counts: Counts): Value {
  const scope = blockScope(block, fields, place, program);
  const inner = (): Value => runLayers(program, block.layers, x, `blocks.${kind}.layers`, scope);
  const name = count(counts, kind);
  return block.checkpoint ? program.g.inCheckpoint(name, inner) : program.g.inModule(name, inner);
}

/** The names that a block's expressions may use: its arguments and the file's own. */
function blockScope(block: Block, fields: unknown, place: Place, program: Program): Place['scope'] {
  const names = Object.keys(block.args);
  const table = Object.fromEntries(
    names.map((name) => {
      const fallback = block.args[name] ?? null;
      const field = { expected: 'a number, a word, or true or false', read: (raw: unknown, at: Place) => readScalar(raw, at) };
      return [name, fallback === null ? field : { ...field, fallback: readScalar(fallback, place) }];
    }),
  );
  const given = readFields(fields, table, names[0] ?? null, place) as Record<string, Scalar>;
  return { ...(program.tokens ? { vocabulary: program.tokens.vocabulary } : {}), classes: place.scope.classes as Scalar, ...given };
}

/** An argument: a number or boolean as it is; text is an expression where it can be one, else a word. */
function readScalar(raw: unknown, place: Place): Scalar | undefined {
  if (typeof raw === 'number' || typeof raw === 'boolean') return raw;
  if (typeof raw !== 'string') return undefined;
  if (raw in place.scope) return place.scope[raw];
  if (/^[a-z][\w-]*$/i.test(raw)) return raw;
  const { value } = readFields({ value: raw }, { value: INTEGER }, null, place);
  return value;
}

function splitEntry(entry: unknown, place: Pick<Place, 'file' | 'path'>): { kind: string; fields: unknown } {
  if (typeof entry === 'string') return { kind: entry, fields: undefined };
  if (entry !== null && typeof entry === 'object' && !Array.isArray(entry)) {
    const keys = Object.keys(entry);
    if (keys.length === 1) return { kind: keys[0] as string, fields: (entry as Record<string, unknown>)[keys[0] as string] };
  }
  throw specError(
    place,
    `expected a layer: its name, or one name with fields, found ${show(entry)}`,
    'write "- relu" or "- conv: {out: 64, kernel: 3}"',
  );
}

function withDefaults(fields: unknown, defaults: Record<string, unknown> | undefined, main: string | null): unknown {
  if (!defaults) return fields;
  if (fields === undefined || fields === null) return defaults;
  const bare = typeof fields !== 'object' || Array.isArray(fields);
  if (!bare) return { ...defaults, ...fields };
  return main === null ? fields : { ...defaults, [main]: fields };
}

function unknownLayer(kind: string, program: Program, place: Place): Error {
  const near = nearestNames(kind, [...Object.keys(LAYERS), ...Object.keys(program.blocks)]);
  const hint = near.length > 0 ? `did you mean ${near.join(' or ')}?` : `the layers are ${Object.keys(LAYERS).join(', ')}`;
  return specError({ ...place, path: place.path.slice(0, -kind.length - 1) }, `there is no layer or block "${kind}"`, hint);
}

/** conv1, conv2 ...: the n-th of its kind in the module around it. */
function count(counts: Counts, kind: string): string {
  const number = (counts.get(kind) ?? 0) + 1;
  counts.set(kind, number);
  return `${kind}${number}`;
}
