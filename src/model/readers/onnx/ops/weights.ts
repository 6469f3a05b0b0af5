/** Operators with weights: products, convolutions, norms, embeddings, recurrent layers. */
import type { Value } from '../../../builder.js';
import type { Size } from '../../../graph.js';
import { batchNorm, embedding, filled, layerNorm, linear, matmul } from '../../../ops/layers.js';
import { broadcast } from '../../../ops/shapes.js';
import { convolve, convolveTransposed } from '../../../ops/spatial.js';
import { pad, select, slice, transpose, view } from '../../../ops/views.js';
import { lastFirst, padWindow } from '../../keras/layout.js';
import type { Context, Operator } from '../context.js';
import type { Node } from '../document.js';

/** Strides and the like for each dimension of the window. */
export function windowOf(c: Context, node: Node, dimensions: number) {
  const each = (name: string, fallback: number): number[] => c.list(node, name) ?? new Array<number>(dimensions).fill(fallback);
  return { stride: each('strides', 1), dilation: each('dilations', 1) };
}

/** Padding that the window does itself, after what it can't has been padded. `pads` are all begins, then all ends. */
export function padInput(c: Context, node: Node, x: Value, kernel: number[], pools = false) {
  const window = windowOf(c, node, kernel.length);
  const auto = c.text(node, 'auto_pad', 'NOTSET');
  if (auto.startsWith('SAME')) return { window, ...padWindow(c.g, x, kernel, window, 'same', pools) };
  const pads = c.list(node, 'pads') ?? new Array<number>(2 * kernel.length).fill(0);
  const pairs = kernel.map((_, index) => [pads[index] ?? 0, pads[index + kernel.length] ?? 0] as const);
  const alike = auto === 'VALID' || pairs.every(([before, after]) => before === after);
  const padding = pairs.map(([before]) => (alike && auto !== 'VALID' ? before : 0));
  return { window, x: alike ? x : pad(c.g, x, lastFirst(pairs)), padding, ceil: false };
}

const conv: Operator = (c, node) => {
  const weight = c.tensor(node, 1);
  const kernel = weight.shape.slice(2) as number[];
  const { window, x, padding } = padInput(c, node, c.tensor(node, 0), kernel);
  c.setValue(node, convolve(c.g, x, weight, c.optional(node, 2), { ...window, padding }, c.number(node, 'group', 1)));
};

const convTranspose: Operator = (c, node) => {
  const weight = c.tensor(node, 1);
  const kernel = weight.shape.slice(2) as number[];
  if (c.list(node, 'output_shape') || c.text(node, 'auto_pad', 'NOTSET') !== 'NOTSET')
    throw c.fail(node, 'output_shape and auto_pad are not supported');
  const { window, padding } = padInput(c, node, c.tensor(node, 0), kernel);
  const extra = c.list(node, 'output_padding') ?? kernel.map(() => 0);
  c.setValue(
    node,
    convolveTransposed(c.g, c.tensor(node, 0), weight, c.optional(node, 2), { ...window, padding, extra }, c.number(node, 'group', 1)),
  );
};

const gemm: Operator = (c, node) => {
  if (c.number(node, 'alpha', 1) !== 1 || c.number(node, 'transA', 0) !== 0) throw c.fail(node, 'only alpha 1 and transA 0 are supported');
  const [x, bias] = [c.tensor(node, 0), c.optional(node, 2)];
  if (c.number(node, 'transB', 0) === 1) return c.setValue(node, linear(c.g, x, c.tensor(node, 1), bias));
  const weight = c.tensor(node, 1);
  const shape = { shape: [x.shape[0] as Size, weight.shape[1] as Size], dtype: x.dtype };
  c.setValue(node, bias ? c.g.call('aten.addmm', [bias, x, weight], shape) : matmul(c.g, x, weight));
};

/** The initializer behind a factor: itself [in, out], or the transpose of one that is [out, in]. */
function matrixOf(c: Context, name: string): { name: string; turned: boolean } | null {
  const direct = c.unread(name);
  if (direct?.shape.length === 2 && direct.dtype === 'model' && c.users.get(name)?.length === 1) return { name, turned: false };
  const maker = c.makers.get(name);
  if (maker?.op !== 'Transpose') return null;
  const source = c.document.initializers.get(maker.inputs[0] ?? '');
  return source?.shape.length === 2 ? { name: source.name, turned: true } : null;
}

/** A product with a matrix of weights, and the bias that alone is added to it, are one linear layer. */
const product: Operator = (c, node) => {
  const matrix = matrixOf(c, node.inputs[1] ?? '');
  const x = c.tensor(node, 0);
  if (!matrix) {
    const y = c.tensor(node, 1);
    const lead = broadcast(x.shape.slice(0, -2), y.shape.slice(0, -2));
    const shape = [...lead, x.shape.at(-2) as Size, y.shape.at(-1) as Size];
    return c.setValue(node, c.g.call('aten.matmul', [x, y], { shape, dtype: x.dtype }));
  }
  const { shape } = c.document.initializers.get(matrix.name) as { shape: number[] };
  const entry = c.entry(matrix.name, node);
  entry.value ??= c.hold(matrix.name, matrix.turned ? shape : [shape[1] as number, shape[0] as number], 'model', true);
  const width = entry.value.shape[0] as number;
  const next = c.onlyUser(node.outputs[0] ?? '');
  const side = next?.op === 'Add' ? next.inputs.findIndex((name) => name !== node.outputs[0]) : -1;
  const bias = c.document.initializers.get(next?.inputs[side] ?? '');
  if (!next || !bias || bias.shape.length !== 1 || bias.shape[0] !== width) return c.setValue(node, linear(c.g, x, entry.value));
  c.taken.add(next);
  c.setValue(next, linear(c.g, x, entry.value, c.tensor(next, side)));
};

const batchNormalization: Operator = (c, node) => {
  const parts = { weight: c.tensor(node, 1), bias: c.tensor(node, 2), mean: c.statistic(node, 3), variance: c.statistic(node, 4) };
  c.setValue(node, batchNorm(c.g, c.tensor(node, 0), parts, 1 - c.number(node, 'momentum', 0.9), c.number(node, 'epsilon', 1e-5)));
};

const layerNormalization: Operator = (c, node) => {
  const x = c.tensor(node, 0);
  const axis = c.number(node, 'axis', -1);
  const shape = x.shape.slice(axis < 0 ? axis + x.shape.length : axis) as number[];
  c.setValue(node, layerNorm(c.g, x, shape, c.optional(node, 1), c.optional(node, 2), c.number(node, 'epsilon', 1e-5)));
};

const groupNormalization: Operator = (c, node) => {
  const x = c.tensor(node, 0);
  const args = [x, c.number(node, 'num_groups', 1), c.tensor(node, 1), c.tensor(node, 2), c.number(node, 'epsilon', 1e-5)];
  c.setValue(node, c.g.call('aten.group_norm', args, x));
};

const instanceNormalization: Operator = (c, node) => {
  const x = c.tensor(node, 0);
  const args = [x, c.tensor(node, 1), c.tensor(node, 2), null, null, true, 0.1, c.number(node, 'epsilon', 1e-5), true];
  c.setValue(node, c.g.call('aten.instance_norm', args, x));
};

/** Rows of a matrix of weights. */
export function embed(c: Context, node: Node): boolean {
  const table = c.document.initializers.get(node.inputs[0] ?? '');
  if (table?.dtype !== 'model' || table.shape.length !== 2 || c.number(node, 'axis', 0) !== 0) return false;
  c.setValue(node, embedding(c.g, c.tensor(node, 0), c.tensor(node, 1)));
  return true;
}

/** X [steps, batch, features]; W, R and B hold all directions, B both biases; Y is [steps, directions, batch, hidden]. */
const recurrent =
  (op: string, states: number): Operator =>
  (c, node) => {
    const { g } = c;
    const x = c.tensor(node, 0);
    const [w, r, b] = [c.tensor(node, 1), c.tensor(node, 2), c.optional(node, 3)];
    const [directions, gates] = w.shape as [number, number];
    const hidden = r.shape[2] as number;
    const weights = Array.from({ length: directions }, (_, at) => {
      const biases = b ? select(g, b, 0, at) : null;
      const halves = biases ? [slice(g, biases, 0, 0, gates), slice(g, biases, 0, gates, 2 * gates)] : [];
      return [select(g, w, 0, at), select(g, r, 0, at), ...halves];
    }).flat();
    const [steps, batch] = x.shape as [Size, Size];
    const state = { shape: [directions, batch, hidden], dtype: x.dtype };
    const start = Array.from({ length: states }, (_, at) => c.optional(node, 5 + at) ?? filled(g, 'aten.zeros', state.shape, x.dtype));
    const args = [x, states === 1 ? (start[0] as Value) : start, weights, b !== null, 1, 0, true, directions === 2, false];
    const [all, ...last] = g.callMany(op, args, [
      { shape: [steps, batch, hidden * directions], dtype: x.dtype },
      ...start.map(() => state),
    ]);
    c.setValue(node, transpose(g, view(g, all as Value, [steps, batch, directions, hidden]), 1, 2));
    for (const [at, each] of last.entries()) if (node.outputs[at + 1]) c.setValue(node, each, at + 1);
  };

/** x where it is positive, else x times a slope for each channel. */
const slopes: Operator = (c, node) => {
  const [x, slope] = [c.tensor(node, 0), c.tensor(node, 1)];
  const flat = view(c.g, slope, [-1]);
  c.setValue(node, c.g.call('aten.prelu', [x, flat], x));
};

export const WEIGHT_OPERATORS: Record<string, Operator> = {
  Conv: conv,
  ConvTranspose: convTranspose,
  Gemm: gemm,
  MatMul: product,
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  GroupNormalization: groupNormalization,
  InstanceNormalization: instanceNormalization,
  LSTM: recurrent('aten.lstm.input', 2),
  GRU: recurrent('aten.gru.input', 1),
  PRelu: slopes,
};
