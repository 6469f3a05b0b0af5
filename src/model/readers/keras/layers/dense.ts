/** Layers of one product: Dense, Embedding, and the constant ones that shift and scale data. */
import type { Value } from '../../../builder.js';
import { add, div, mul, sub, toDtype } from '../../../ops/elementwise.js';
import { embedding, linear } from '../../../ops/layers.js';
import { reshape } from '../../../ops/views.js';
import { activateField } from '../activations.js';
import { layerError } from '../fields.js';
import { axisOf, known, type Layer, only } from '../layer.js';

const dense: Layer = (call) => {
  const { g, fields, place } = call;
  const x = only(call);
  if (x.shape.length < 2) throw layerError(place, 'expected features behind the batch');
  if (fields.has('lora_rank')) throw layerError(place, 'lora_rank: adapters in the file are not read', 'use --method lora');
  const units = fields.integer('units');
  const weight = call.weight('kernel', [units, known(x.shape.at(-1), place)]);
  const bias = fields.flag('use_bias', true) ? call.weight('bias', [units]) : null;
  return activateField(g, linear(g, x, weight, bias), fields);
};

const embed: Layer = (call) => {
  const { g, fields } = call;
  const ids = only(call);
  const weight = call.weight('embeddings', [fields.integer('input_dim'), fields.integer('output_dim')]);
  return embedding(g, weight, ids.dtype === 'int32' || ids.dtype === 'int64' ? ids : toDtype(g, ids, 'int32'));
};

const rescaling: Layer = (call) => {
  const { g, fields } = call;
  const [scale, offset] = ['scale', 'offset'].map((key) => (typeof fields.raw(key) === 'number' ? fields.number(key) : 1)) as [
    number,
    number,
  ];
  return add(g, mul(g, only(call), scale), offset);
};

/** (x - mean) / max(sqrt(variance), epsilon); the statistics are weights where `adapt` has to find them, else constants. */
const normalization: Layer = (call) => {
  const { g, fields, place } = call;
  const x = only(call);
  const axes = (fields.raw('axis') === null ? [] : fields.list('axis', [-1])).map((axis) => axisOf(axis, x, place));
  const shape = axes.map((axis) => known(x.shape[axis], place));
  const wide = x.shape.map((_, index) => (axes.includes(index) ? known(x.shape[index], place) : 1));
  const given = fields.has('mean');
  const [mean, variance] = ['mean', 'variance'].map((name) =>
    reshape(g, given ? g.buffer(name, shape, 'model') : call.weight(name, shape, false), wide),
  ) as [Value, Value];
  if (!given) call.weight('count', [], false);
  return div(g, sub(g, x, mean), variance);
};

/** A learned factor for each channel (keras/src/applications/convnext.py). */
const layerScale: Layer = (call) => mul(call.g, only(call), call.weight('gamma', [call.fields.integer('projection_dim')]));

export const DENSE_LAYERS: Record<string, Layer> = {
  Dense: dense,
  Embedding: embed,
  Rescaling: rescaling,
  Normalization: normalization,
  LayerScale: layerScale,
};
