/**
 * A Keras model's JSON in one form, whichever release wrote it: Keras 2 lists a call as [layer, node, tensor, kwargs],
 * Keras 3 as {args, kwargs} with a "__keras_tensor__" for each tensor (keras/src/models/functional.py, both lines).
 */
import { UsageError } from '../../../errors.js';
import { layerError, type Place, show } from './fields.js';

/** An output of a layer's call. */
export interface Reference {
  layer: string;
  /** Which of the layer's calls; a nested functional model counts from 1. */
  node: number;
  tensor: number;
}

/** An argument of a call: a tensor, a list of arguments, or a literal. */
export type CallArgument = { reference: Reference } | { list: CallArgument[] } | { literal: unknown };

export interface Call {
  args: CallArgument[];
  kwargs: Record<string, CallArgument>;
}

export interface LayerDocument {
  place: Place;
  config: Record<string, unknown>;
  /** "keras.layers", "keras.src.ops.numpy" ...; "" in old files. */
  module: string;
  /** "Package>Class" of a layer that is someone's own. */
  registered: string;
  calls: Call[];
  /** Shape of the input that the layer was built with, batch first. */
  builtFor: unknown;
}

export interface ModelDocument {
  place: Place;
  config: Record<string, unknown>;
  sequential: boolean;
  layers: LayerDocument[];
  /** Inputs and outputs of a functional model. */
  inputs: Reference[];
  outputs: Reference[];
  builtFor: unknown;
}

const MODELS = ['Sequential', 'Functional', 'Model'];

type Mapping = Record<string, unknown>;

export const isMapping = (value: unknown): value is Mapping => value !== null && typeof value === 'object' && !Array.isArray(value);

/** Whether a layer is a model of layers. */
export function isModel(className: string, config: unknown): boolean {
  return MODELS.includes(className) && (Array.isArray(config) || (isMapping(config) && Array.isArray(config.layers)));
}

/** The top of the file. Throws UsageError where it is no Sequential or functional model. */
export function readTop(document: unknown, file: string): ModelDocument {
  const { class_name: className, config } = document as Mapping;
  if (isModel(String(className), config)) return readModelDocument(document as Mapping, file, 'config');
  throw new UsageError(
    'UNSUPPORTED_MODEL',
    `${file}: class_name: expected Sequential or Functional, found ${show(className)}`,
    'a subclassed model is Python code, and its layers are not in the file: describe it in a .yaml spec, or measure it with batchfit probe -- COMMAND',
  );
}

/** A model of layers, at the top or nested; `path` is where its config stands. */
export function readModelDocument(raw: Mapping, file: string, path: string): ModelDocument {
  const config = Array.isArray(raw.config) ? { layers: raw.config } : (raw.config as Mapping);
  const className = String(raw.class_name);
  const sequential = className === 'Sequential';
  const place = { file, path, className, name: String(config.name ?? className) };
  const layers = (config.layers as unknown[]).map((layer, index) => readLayer(layer, file, `${path}.layers[${index}]`));
  const built = isMapping(raw.build_config) ? raw.build_config.input_shape : undefined;
  return {
    place,
    config,
    sequential,
    layers,
    inputs: sequential ? [] : ends(config.input_layers, 'input_layers', place),
    outputs: sequential ? [] : ends(config.output_layers, 'output_layers', place),
    builtFor: config.build_input_shape ?? built,
  };
}

/** A layer that a wrapper or a model holds. */
export function readLayer(raw: unknown, file: string, path: string): LayerDocument {
  const place = { file, path, className: 'layer', name: '' };
  if (!isMapping(raw) || typeof raw.class_name !== 'string')
    throw layerError(place, `expected a layer with a class_name, found ${show(raw)}`);
  const listed = Array.isArray(raw.config) && MODELS.includes(raw.class_name) ? { layers: raw.config } : raw.config;
  const config = isMapping(listed) ? listed : {};
  const named = { ...place, className: raw.class_name, name: String(raw.name ?? config.name ?? raw.class_name) };
  const nodes = Array.isArray(raw.inbound_nodes) ? raw.inbound_nodes : [];
  const built = isMapping(raw.build_config) ? raw.build_config.input_shape : undefined;
  return {
    place: named,
    config,
    module: typeof raw.module === 'string' ? raw.module : '',
    registered: typeof raw.registered_name === 'string' ? raw.registered_name : '',
    calls: nodes.map((node) => (isMapping(node) ? readCall(node) : readOldCall(node, named))),
    builtFor: config.batch_shape ?? config.batch_input_shape ?? built,
  };
}

function readCall(node: Mapping): Call {
  return { args: Array.isArray(node.args) ? node.args.map(argument) : [], kwargs: readNamed(isMapping(node.kwargs) ? node.kwargs : {}) };
}

function readNamed(raw: Mapping): Record<string, CallArgument> {
  return Object.fromEntries(Object.entries(raw).map(([name, value]) => [name, argument(value)]));
}

function argument(value: unknown): CallArgument {
  if (Array.isArray(value)) return isReference(value) ? { reference: reference(value) } : { list: value.map(argument) };
  if (isMapping(value) && value.class_name === '__keras_tensor__' && isMapping(value.config)) {
    const history = value.config.keras_history;
    if (isReference(history)) return { reference: reference(history) };
  }
  return { literal: value };
}

/** Keras 2: [[layer, node, tensor, kwargs], ...], or one of them alone; more than one are a list as the first argument. */
function readOldCall(node: unknown, place: Place): Call {
  const entries = isReference(node) ? [node] : node;
  if (!Array.isArray(entries)) throw layerError(place, `inbound_nodes: expected calls of the layer, found ${show(node)}`);
  const tensors = entries.map((entry): CallArgument => {
    if (Array.isArray(entry) && entry[0] === '_CONSTANT_VALUE') return { literal: entry[2] };
    if (!isReference(entry)) throw layerError(place, `inbound_nodes: expected [layer, node, tensor], found ${show(entry)}`);
    return { reference: reference(entry) };
  });
  const first = entries[0];
  const kwargs = Array.isArray(first) && isMapping(first[3]) ? readNamed(first[3]) : {};
  return { args: tensors.length > 1 ? [{ list: tensors }] : tensors, kwargs };
}

function isReference(value: unknown): value is [string, number, number] {
  return Array.isArray(value) && typeof value[0] === 'string' && typeof value[1] === 'number' && typeof value[2] === 'number';
}

function reference([layer, node, tensor]: [string, number, number]): Reference {
  return { layer, node, tensor };
}

/** input_layers and output_layers: one reference, a list or a mapping of them. */
function ends(raw: unknown, field: string, place: Place): Reference[] {
  const found: Reference[] = [];
  const collect = (value: unknown): void => {
    if (isReference(value)) found.push(reference(value));
    else if (Array.isArray(value)) for (const each of value) collect(each);
    else if (isMapping(value)) for (const each of Object.values(value)) collect(each);
  };
  collect(raw);
  if (found.length === 0) throw layerError(place, `${field}: expected [layer, node, tensor], found ${show(raw)}`);
  return found;
}
