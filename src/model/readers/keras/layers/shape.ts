/** Layers that move, cut, repeat or resize, and the preprocessing ones that keep the size. */
import { floorDivide, plus, times } from '../../../arithmetic.js';
import { sizes, type Value } from '../../../builder.js';
import type { Size } from '../../../graph.js';
import { cat, pad, permute, reshape, slice, unsqueeze } from '../../../ops/views.js';
import { type Fields, layerError } from '../fields.js';
import { expectRank, known, type Layer, only, shapeText } from '../layer.js';
import { channelAxis, channelsFirst, dataFormat, lastFirst, spatialAxes } from '../layout.js';

const flatten: Layer = (call) => {
  const { g, fields } = call;
  const x = only(call);
  const first = dataFormat(fields) === 'channels_first' && x.shape.length > 2;
  // Keras flattens channels last, whatever the format (keras/src/layers/reshaping/flatten.py).
  const last = first ? permute(g, x, [0, ...spatialAxes(x, 'channels_first'), 1]) : x;
  return reshape(g, last, [x.shape[0] as Size, times(...x.shape.slice(1))]);
};

const reshapeTo: Layer = (call) => {
  const { g, fields, place } = call;
  const x = only(call);
  const target = fields.list('target_shape');
  const elements = known(times(...x.shape.slice(1)), place);
  const given = target.filter((extent) => extent !== -1).reduce((a, b) => a * b, 1);
  const open = target.filter((extent) => extent === -1).length;
  if (open > 1 || (open === 1 ? elements % given !== 0 : elements !== given))
    throw layerError(place, `target_shape: the ${elements} elements of a sample don't fit [${target}]`, 'leave --image and --seq out');
  return reshape(g, x, [x.shape[0] as Size, ...target.map((extent) => (extent === -1 ? Number(floorDivide(elements, given)) : extent))]);
};

const permuteDims: Layer = (call) => {
  const x = only(call);
  const dims = call.fields.list('dims');
  const valid = [...dims].sort((a, b) => a - b).every((dim, index) => dim === index + 1) && dims.length === x.shape.length - 1;
  if (!valid) throw layerError(call.place, `dims: expected each of 1 to ${x.shape.length - 1} once, found [${dims}]`);
  return permute(call.g, x, [0, ...dims]);
};

const repeatVector: Layer = (call) => {
  const x = only(call);
  expectRank(x, 2, call.place);
  const wide = unsqueeze(call.g, x, 1);
  const count = call.fields.integer('n');
  return call.g.call('aten.repeat', [wide, [1, count, 1]], { shape: [x.shape[0] as Size, count, x.shape[1] as Size], dtype: x.dtype });
};

/** Amounts before and after each of the spatial dimensions: N, [a, b] or [[a, b], [c, d]]. */
function amounts(raw: unknown, dimensions: number): [number, number][] | null {
  const whole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  if (whole(raw)) return new Array(dimensions).fill([raw, raw]);
  if (!Array.isArray(raw)) return null;
  const [before, after] = raw;
  if (dimensions === 1) return raw.length === 2 && whole(before) && whole(after) ? [[before, after]] : null;
  if (raw.length !== dimensions) return null;
  const pairs = raw.map((part) => (whole(part) ? [part, part] : part)) as [number, number][];
  return pairs.every((part) => Array.isArray(part) && part.length === 2 && part.every(whole)) ? pairs : null;
}

const amountsOf = (fields: Fields, name: string, dimensions: number): [number, number][] =>
  amounts(fields.raw(name) ?? 1, dimensions) ?? fields.refuse(name, 'amounts before and after', fields.raw(name));

const zeroPadding =
  (dimensions: number): Layer =>
  (call) => {
    const { g, fields, place } = call;
    const x = only(call);
    expectRank(x, dimensions + 2, place);
    const pairs = amountsOf(fields, 'padding', dimensions);
    const order = dataFormat(fields) === 'channels_last' ? [0, 0, ...lastFirst(pairs)] : lastFirst(pairs);
    return pad(g, x, order);
  };

const cropping =
  (dimensions: number): Layer =>
  (call) => {
    const { g, fields, place } = call;
    const x = only(call);
    expectRank(x, dimensions + 2, place);
    const pairs = amountsOf(fields, 'cropping', dimensions);
    return spatialAxes(x, dataFormat(fields)).reduce((value, axis, index) => {
      const [before, after] = pairs[index] as [number, number];
      return slice(g, value, axis, before, plus(value.shape[axis] as Size, -after));
    }, x);
  };

const RESIZE: Record<string, string> = { nearest: 'nearest', bilinear: 'bilinear', bicubic: 'bicubic' };

function resizeTo(call: Parameters<Layer>[0], x: Value, extents: number[], interpolation: string): Value {
  const { g, fields } = call;
  return channelsFirst(g, x, channelAxis(x, dataFormat(fields)), (first) => {
    const result = { shape: [...first.shape.slice(0, 2), ...extents], dtype: x.dtype };
    const count = extents.length;
    const op = interpolation === 'bilinear' && count === 1 ? 'linear' : (RESIZE[interpolation] ?? 'nearest');
    const args = op === 'nearest' ? [first, sizes(extents), null] : [first, sizes(extents), false, null];
    return g.call(`aten.upsample_${op}${count}d.vec`, args, result);
  });
}

const upsampling =
  (dimensions: number): Layer =>
  (call) => {
    const { fields, place } = call;
    const x = only(call);
    expectRank(x, dimensions + 2, place);
    const factors = fields.integers('size', dimensions, 2);
    const extents = spatialAxes(x, dataFormat(fields)).map((axis, index) => known(x.shape[axis], place) * (factors[index] ?? 1));
    return resizeTo(call, x, extents, fields.text('interpolation', Object.keys(RESIZE), 'nearest'));
  };

/** Images of another size: Resizing, and crops of the same. */
const resizing =
  (interpolates: boolean): Layer =>
  (call) => {
    const { g, fields, place } = call;
    const x = only(call);
    expectRank(x, 4, place);
    const extents = [fields.integer('height'), fields.integer('width')];
    const axes = spatialAxes(x, dataFormat(fields));
    if (interpolates) return resizeTo(call, x, extents, fields.text('interpolation', ['bilinear', 'nearest', 'bicubic'], 'bilinear'));
    return axes.reduce((value, axis, index) => slice(g, value, axis, 0, extents[index] as number), x);
  };

const concatenate: Layer = (call) => {
  const { g, fields, inputs, place } = call;
  const [first, ...others] = inputs;
  if (!first) throw layerError(place, 'expected inputs, found none');
  const [axis = -1] = fields.list('axis', [-1]);
  const index = axis < 0 ? axis + first.shape.length : axis;
  const rest = (x: Value): string => shapeText(x.shape.filter((_, position) => position !== index));
  const other = others.find((x) => rest(x) !== rest(first));
  if (other) throw layerError(place, `can't concatenate ${shapeText(first.shape)} and ${shapeText(other.shape)} along axis ${axis}`);
  return cat(g, inputs, index);
};

const random: Layer = (call) => only(call);
const RANDOM =
  'Flip Rotation Zoom Translation Contrast Brightness Saturation Hue Sharpness Shear Grayscale Invert Posterization ColorJitter Erasing GaussianBlur'.split(
    ' ',
  );

export const SHAPE_LAYERS: Record<string, Layer> = {
  Flatten: flatten,
  Reshape: reshapeTo,
  Permute: permuteDims,
  RepeatVector: repeatVector,
  ZeroPadding1D: zeroPadding(1),
  ZeroPadding2D: zeroPadding(2),
  ZeroPadding3D: zeroPadding(3),
  Cropping1D: cropping(1),
  Cropping2D: cropping(2),
  Cropping3D: cropping(3),
  UpSampling1D: upsampling(1),
  UpSampling2D: upsampling(2),
  Resizing: resizing(true),
  CenterCrop: resizing(false),
  RandomCrop: resizing(false),
  Concatenate: concatenate,
  ...Object.fromEntries(RANDOM.map((name) => [`Random${name}`, random])),
};
