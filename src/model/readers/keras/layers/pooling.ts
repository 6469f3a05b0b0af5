/** Pools, and the global ones. */
import { pool as applyPool } from '../../../ops/spatial.js';
import { reduce } from '../../../ops/views.js';
import { layerError } from '../fields.js';
import { expectRank, type Layer, only } from '../layer.js';
import { channelAxis, channelsFirst, dataFormat, padWindow, spatialAxes } from '../layout.js';

const pool =
  (kind: 'max' | 'avg', dimensions: number): Layer =>
  (call) => {
    const { g, fields, place } = call;
    const input = only(call);
    expectRank(input, dimensions + 2, place);
    const kernel = fields.integers('pool_size', dimensions, 2);
    const stride = fields.has('strides') ? fields.integers('strides', dimensions) : kernel;
    const mode = fields.text('padding', ['valid', 'same'], 'valid');
    return channelsFirst(g, input, channelAxis(input, dataFormat(fields)), (first) => {
      const window = { stride, dilation: kernel.map(() => 1) };
      const { x, padding, ceil } = padWindow(g, first, kernel, window, mode, true);
      const result = applyPool(g, kind, x, kernel, { stride, padding, ceil });
      if (result.shape.slice(2).some((extent) => Number(extent) < 1))
        throw layerError(place, `nothing is left of the input [${input.shape}]`, 'take a larger input: --image or --seq');
      return result;
    });
  };

const global =
  (op: string, dimensions: number): Layer =>
  (call) => {
    const { g, fields, place } = call;
    const x = only(call);
    expectRank(x, dimensions + 2, place);
    return reduce(g, op, x, spatialAxes(x, dataFormat(fields)), fields.flag('keepdims', false));
  };

const kinds = (name: string, make: (dimensions: number) => Layer): Record<string, Layer> =>
  Object.fromEntries([1, 2, 3].map((dimensions) => [`${name}${dimensions}D`, make(dimensions)]));

export const POOLING_LAYERS: Record<string, Layer> = {
  ...kinds('MaxPooling', (dimensions) => pool('max', dimensions)),
  ...kinds('AveragePooling', (dimensions) => pool('avg', dimensions)),
  ...kinds('GlobalAveragePooling', (dimensions) => global('aten.mean.dim', dimensions)),
  ...kinds('GlobalMaxPooling', (dimensions) => global('aten.amax', dimensions)),
};
