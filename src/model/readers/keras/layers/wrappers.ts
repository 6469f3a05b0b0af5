/** Layers that hold one other. */
import { times } from '../../../arithmetic.js';
import type { Value } from '../../../builder.js';
import type { Size } from '../../../graph.js';
import { reshape } from '../../../ops/views.js';
import { isMapping, readLayer } from '../document.js';
import { layerError } from '../fields.js';
import { type Layer, only } from '../layer.js';

/** The layer on every step, all steps at once: they join the batch. */
const timeDistributed: Layer = (call) => {
  const { g, fields, place } = call;
  const x = only(call);
  const raw = fields.raw('layer');
  if (!isMapping(raw)) throw layerError(place, 'layer: missing, expected a layer');
  if (x.shape.length < 3) throw layerError(place, 'expected steps behind the batch');
  const [batch, steps, ...rest] = x.shape as [Size, Size, ...Size[]];
  const flat = reshape(g, x, [times(batch, steps), ...rest]);
  const [result] = call.call(readLayer(raw, place.file, `${place.path}.config.layer`), [flat]) as [Value];
  return reshape(g, result, [batch, steps, ...result.shape.slice(1)]);
};

export const WRAPPER_LAYERS: Record<string, Layer> = { TimeDistributed: timeDistributed };
