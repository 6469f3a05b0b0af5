/** Reads a TensorFlow.js model.json: a layers model is a Keras topology beside a manifest of its weights. */
import { UsageError } from '../../../errors.js';
import type { ModelGraph, ModelSource } from '../../graph.js';
import type { ModelOptions } from '../../options.js';
import { isMapping } from '../keras/document.js';
import { show } from '../keras/fields.js';
import { readKeras } from '../keras/read.js';

/** The training graph of a layers model. Throws UsageError for a graph model, which is TensorFlow's operators without their training. */
export function readTfjs(document: unknown, source: ModelSource, options: ModelOptions): ModelGraph {
  const raw = document as Record<string, unknown>;
  const { reference: file } = source;
  const topology = raw.modelTopology;
  if (raw.format === 'graph-model' || (isMapping(topology) && 'node' in topology)) {
    throw new UsageError(
      'UNSUPPORTED_MODEL',
      `${file}: a TensorFlow.js graph model, which can't be trained: its variables are frozen`,
      'convert the Keras model with --output_format tfjs_layers_model, or name the Keras model itself',
    );
  }
  const model = isMapping(topology) ? (topology.model_config ?? topology) : topology;
  if (!isMapping(topology) || !isMapping(model) || !('class_name' in model))
    throw new UsageError(
      'BAD_MODEL',
      `${file}: modelTopology: expected a Keras model, found ${show(topology)}`,
      'save the model again: model.save()',
    );
  const training = isMapping(topology.training_config) ? topology.training_config : undefined;
  return readKeras({ keras_version: topology.keras_version, ...(training ? { compile_config: training } : {}), ...model }, source, options);
}
