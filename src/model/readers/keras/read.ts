/** Reads a Keras model: `model.to_json()`, the config.json of a `.keras` file, or the topology of a TensorFlow.js model. */
import { refuseHead } from '../../adapt.js';
import { GraphBuilder } from '../../builder.js';
import { setClasses } from '../../classes.js';
import type { ModelGraph, ModelSource } from '../../graph.js';
import type { ModelOptions } from '../../options.js';
import { isMapping, readTop } from './document.js';
import { declareInputs } from './inputs.js';
import { lossOf } from './loss.js';
import { runModel } from './run.js';

/**
 * The training graph of a parsed document with "class_name" and "config". Sizes beside the batch are numbers: a Keras
 * model is built for its input's size. Throws UsageError naming the file, the layer and the field.
 */
export function readKeras(document: unknown, source: ModelSource, options: ModelOptions): ModelGraph {
  const raw = document as Record<string, unknown>;
  const model = readTop(raw, source.reference);
  refuseHead(model.place.name, options);
  const versions = typeof raw.keras_version === 'string' ? [`keras ${raw.keras_version}`] : source.versions;
  const g = new GraphBuilder(model.place.name, versions ? { ...source, versions } : source);
  const outputs = runModel(g, model, declareInputs(g, model, options));
  const compiled = isMapping(raw.compile_config) ? raw.compile_config.loss : undefined;
  const { value, assumptions } = lossOf(g, model, outputs, compiled);
  const graph = { ...g.finish(value, outputs), ...(assumptions.length > 0 ? { assumptions } : {}) };
  return options.classes === undefined ? graph : setClasses(graph, options.classes);
}
