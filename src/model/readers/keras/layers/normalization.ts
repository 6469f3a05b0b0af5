/** Normalization layers. Moving statistics are weights of Keras that are not trained, and are counted as such. */
import type { Value } from '../../../builder.js';
import { batchNorm, groupNorm, layerNorm } from '../../../ops/layers.js';
import { permute } from '../../../ops/views.js';
import { unsupportedLayer } from '../fields.js';
import { axisOf, known, type Layer, type LayerCall, only } from '../layer.js';
import { channelsFirst } from '../layout.js';

/** gamma and beta, where the layer has them. */
function affine({ fields, weight }: LayerCall, shape: number[]): { weight: Value | null; bias: Value | null } {
  return {
    weight: fields.flag('scale', true) ? weight('gamma', shape) : null,
    bias: fields.flag('center', true) ? weight('beta', shape) : null,
  };
}

const batch: Layer = (call) => {
  const { g, fields, place } = call;
  const x = only(call);
  if (fields.raw('renorm') === true) throw unsupportedLayer(place, 'renorm is not supported');
  const [axis = -1, ...others] = fields.list('axis', [-1]);
  if (others.length > 0) throw unsupportedLayer(place, 'axis: more than one axis is not supported');
  const index = axisOf(axis, x, place);
  const channels = known(x.shape[index], place);
  const parts = {
    ...affine(call, [channels]),
    mean: call.weight('moving_mean', [channels], false),
    variance: call.weight('moving_variance', [channels], false),
  };
  const [momentum, epsilon] = [1 - fields.number('momentum', 0.99), fields.number('epsilon', 1e-3)];
  return channelsFirst(g, x, index, (first) => {
    if (call.trainable) return batchNorm(g, first, parts, momentum, epsilon);
    // A frozen layer uses its moving statistics (keras/src/layers/normalization/batch_normalization.py).
    return g.call('aten.batch_norm', [first, parts.weight, parts.bias, parts.mean, parts.variance, false, momentum, epsilon, true], first);
  });
};

const layerNormalization: Layer = (call) => {
  const { g, fields, place } = call;
  const x = only(call);
  const axes = fields.list('axis', [-1]).map((axis) => axisOf(axis, x, place));
  const last = x.shape.length - axes.length;
  const shape = axes.map((axis) => known(x.shape[axis], place));
  const rest = x.shape.map((_, index) => index).filter((index) => !axes.includes(index));
  const order = [...rest, ...axes];
  const inOrder = order.every((axis, index) => axis === index);
  const moved = inOrder ? x : permute(g, x, order);
  const epsilon = fields.number('epsilon', 1e-3);
  const root = fields.raw('rms_scaling') === true;
  const { weight, bias } = affine(call, shape);
  const result = root
    ? g.call('aten.rms_norm', [moved, moved.shape.slice(last) as number[], weight, epsilon], moved)
    : layerNorm(g, moved, shape, weight, bias, epsilon);
  if (inOrder) return result;
  return permute(
    g,
    result,
    order.map((_, index) => order.indexOf(index)),
  );
};

const rootMeanSquare: Layer = (call) => {
  const { g, fields, place } = call;
  const x = only(call);
  const features = known(x.shape.at(-1), place);
  if (axisOf(fields.list('axis', [-1])[0] ?? -1, x, place) !== x.shape.length - 1)
    throw unsupportedLayer(place, 'axis: only the last one is supported');
  return g.call('aten.rms_norm', [x, [features], call.weight('scale', [features]), fields.number('epsilon', 1e-6)], x);
};

const group: Layer = (call) => {
  const { g, fields, place } = call;
  const x = only(call);
  const index = axisOf(fields.list('axis', [-1])[0] ?? -1, x, place);
  const channels = known(x.shape[index], place);
  const asked = fields.integer('groups', 32, -1);
  const groups = asked === -1 ? channels : asked;
  const { weight, bias } = affine(call, [channels]);
  const epsilon = fields.number('epsilon', 1e-3);
  return channelsFirst(g, x, index, (first) =>
    weight && bias
      ? groupNorm(g, first, groups, weight, bias, epsilon)
      : g.call('aten.group_norm', [first, groups, weight, bias, epsilon], first),
  );
};

export const NORMALIZATION_LAYERS: Record<string, Layer> = {
  BatchNormalization: batch,
  SyncBatchNormalization: batch,
  LayerNormalization: layerNormalization,
  RMSNormalization: rootMeanSquare,
  GroupNormalization: group,
};
