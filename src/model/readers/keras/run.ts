/** Runs a Keras model's layers in the order in which Keras rebuilds them: each call as soon as its inputs are there. */
import type { GraphBuilder, Value } from '../../builder.js';
import { nearestNames } from '../../nearest.js';
import { type CallArgument, isModel, type LayerDocument, type ModelDocument, type Reference, readModelDocument } from './document.js';
import { Fields, layerError, unsupportedLayer } from './fields.js';
import type { Layer, LayerCall } from './layer.js';
import { ACTIVATION_LAYERS } from './layers/activation.js';
import { ATTENTION_LAYERS } from './layers/attention.js';
import { CONVOLUTION_LAYERS } from './layers/convolution.js';
import { DENSE_LAYERS } from './layers/dense.js';
import { MERGE_LAYERS } from './layers/merge.js';
import { NORMALIZATION_LAYERS } from './layers/normalization.js';
import { operationOf } from './layers/operations.js';
import { POOLING_LAYERS } from './layers/pooling.js';
import { RECURRENT_LAYERS } from './layers/recurrent.js';
import { SHAPE_LAYERS } from './layers/shape.js';
import { WRAPPER_LAYERS } from './layers/wrappers.js';

const LAYERS: Record<string, Layer> = {
  ...DENSE_LAYERS,
  ...CONVOLUTION_LAYERS,
  ...NORMALIZATION_LAYERS,
  ...ACTIVATION_LAYERS,
  ...POOLING_LAYERS,
  ...SHAPE_LAYERS,
  ...MERGE_LAYERS,
  ...RECURRENT_LAYERS,
  ...ATTENTION_LAYERS,
  ...WRAPPER_LAYERS,
};

/** The outputs of a model, called with `inputs`. `frozen` where a model around it is. */
export function runModel(g: GraphBuilder, model: ModelDocument, inputs: Value[], frozen = false): Value[] {
  const still = frozen || model.config.trainable === false;
  if (!model.sequential) return runFunctional(g, model, inputs, still);
  const [x] = inputs;
  if (!x) throw layerError(model.place, 'expected one input, found none');
  const layers = model.layers.filter(({ place }) => place.className !== 'InputLayer');
  return [layers.reduce<Value>((value, layer) => callLayer(g, layer, [value], {}, still)[0] as Value, x)];
}

function runFunctional(g: GraphBuilder, model: ModelDocument, inputs: Value[], frozen: boolean): Value[] {
  const values = new Map<string, Value>();
  const key = ({ layer, node, tensor }: Reference): string => `${layer}\n${node}\n${tensor}`;
  model.inputs.forEach((reference, index) => {
    const value = inputs[index];
    if (!value) throw layerError(model.place, `expected ${model.inputs.length} inputs, found ${inputs.length}`);
    values.set(key(reference), value);
  });
  const firstNodes = countFrom(model);
  let pending = model.layers.flatMap((layer) =>
    layer.calls.map((call, index) => ({ layer, call, node: index + (firstNodes.get(layer.place.name) ?? 0) })),
  );
  while (pending.length > 0) {
    const waiting = pending.filter(({ layer, call, node }) => {
      const references = [...call.args, ...Object.values(call.kwargs)].flatMap(referencesOf);
      if (!references.every((reference) => values.has(key(reference)))) return true;
      const resolve = (argument: CallArgument): unknown => {
        if ('reference' in argument) return values.get(key(argument.reference));
        return 'list' in argument ? argument.list.map(resolve) : argument.literal;
      };
      const named = Object.fromEntries(Object.entries(call.kwargs).map(([name, argument]) => [name, resolve(argument)]));
      const results = callLayer(g, layer, call.args.map(resolve), named, frozen);
      for (const [tensor, value] of results.entries()) values.set(key({ layer: layer.place.name, node, tensor }), value);
      return false;
    });
    if (waiting.length === pending.length) {
      const { layer } = waiting[0] as (typeof waiting)[number];
      throw layerError(layer.place, 'inbound_nodes: reads a tensor that no layer of the model makes');
    }
    pending = waiting;
  }
  return model.outputs.map((reference) => {
    const value = values.get(key(reference));
    if (!value) throw layerError(model.place, `output_layers: there is no output of "${reference.layer}"`);
    return value;
  });
}

function referencesOf(argument: CallArgument): Reference[] {
  if ('reference' in argument) return [argument.reference];
  return 'list' in argument ? argument.list.flatMap(referencesOf) : [];
}

/** The number of a layer's first call: nested models have one of their own, so that theirs may begin at 1. */
function countFrom(model: ModelDocument): Map<string, number> {
  const first = new Map<string, number>();
  const see = ({ layer, node }: Reference): void => {
    first.set(layer, Math.min(node, first.get(layer) ?? node));
  };
  for (const { calls } of model.layers)
    for (const { args, kwargs } of calls) [...args, ...Object.values(kwargs)].flatMap(referencesOf).forEach(see);
  model.outputs.forEach(see);
  return first;
}

const isValue = (argument: unknown): argument is Value =>
  argument !== null && typeof argument === 'object' && 'shape' in argument && 'name' in argument;

function valuesOf(argument: unknown): Value[] {
  if (Array.isArray(argument)) return argument.flatMap(valuesOf);
  return isValue(argument) ? [argument] : [];
}

/** One call of a layer, as a call of its module. */
function callLayer(
  g: GraphBuilder,
  layer: LayerDocument,
  args: readonly unknown[],
  named: Readonly<Record<string, unknown>>,
  frozen: boolean,
): Value[] {
  const { place, config } = layer;
  const inputs = [...args, ...Object.values(named)].flatMap(valuesOf);
  const trainable = !frozen && config.trainable !== false;
  const results = g.inModule(place.name.replaceAll('.', '_'), () => {
    if (isModel(place.className, config)) {
      const raw = { class_name: place.className, config, build_config: { input_shape: layer.builtFor } };
      return runModel(g, readModelDocument(raw, place.file, `${place.path}.config`), inputs, !trainable);
    }
    const call: LayerCall = {
      g,
      fields: new Fields(config, place),
      place,
      inputs,
      args,
      named,
      trainable,
      weight: (name, shape, trained = true) => g.parameter(name, shape, trainable && trained ? {} : { trainable: false }),
      call: (inner, values) => callLayer(g, inner, values, {}, !trainable),
    };
    return layerOf(layer)(call);
  });
  return Array.isArray(results) ? results : [results];
}

function layerOf(layer: LayerDocument): Layer {
  const { place, module, registered, config } = layer;
  const { className } = place;
  if (/^(?!keras|builtins)\w+>/i.test(registered)) {
    throw unsupportedLayer(
      place,
      `the layer ${registered} is somebody's own code`,
      'describe the model in a .yaml spec, or measure it: batchfit probe -- COMMAND',
    );
  }
  const operation = operationOf(className, module, config);
  if (operation?.apply) return operation.apply;
  const found = operation === null && Object.hasOwn(LAYERS, className) ? LAYERS[className] : undefined;
  if (found) return found;
  const name = operation?.name ?? className;
  const near = nearestNames(className, Object.keys(LAYERS));
  const hint = near.length > 0 && !operation ? `the nearest that is: ${near.join(' or ')}` : undefined;
  throw unsupportedLayer(place, `the ${operation ? 'function' : 'layer'} ${name} is not supported`, hint);
}
