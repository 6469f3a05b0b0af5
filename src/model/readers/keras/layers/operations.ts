/** Functions that a functional model calls on its tensors: operations of Keras 3, TFOpLambda layers of Keras 2. */
import type { GraphBuilder, Value } from '../../../builder.js';
import { add, binary, div, mul, softmax, sub, toDtype, unary } from '../../../ops/elementwise.js';
import { matmul } from '../../../ops/layers.js';
import { cat, permute, reduce, reshape, squeeze, unsqueeze } from '../../../ops/views.js';
import { activate, isActivation } from '../activations.js';
import { isMapping } from '../document.js';
import { layerError, show, unsupportedLayer } from '../fields.js';
import { axisOf, type Layer, type LayerCall, only } from '../layer.js';

/** Names of Keras 3's classes and of TensorFlow's functions, as one. */
const SYNONYMS: Record<string, string> = {
  truedivide: 'divide',
  truediv: 'divide',
  'operators.add': 'add',
  'operators.sub': 'subtract',
  'operators.mul': 'multiply',
  'operators.truediv': 'divide',
  reducemean: 'mean',
  reducesum: 'sum',
  reducemax: 'max',
  amax: 'max',
  concat: 'concatenate',
  logsoftmax: 'log_softmax',
  hardsigmoid: 'hard_sigmoid',
  hardsilu: 'hard_silu',
  hardswish: 'hard_swish',
  leakyrelu: 'leaky_relu',
  expanddims: 'expand_dims',
};

type Operand = Value | number;

/** The first two operands: tensors or numbers, by place or as x1/x2, x/y. */
function operands(call: LayerCall): [Operand, Operand] {
  const [a = call.named.x1 ?? call.named.x, b = call.named.x2 ?? call.named.y] = call.args;
  const valid = (each: unknown): each is Operand => typeof each === 'number' || (isMapping(each) && 'shape' in each);
  if (!valid(a) || !valid(b)) throw layerError(call.place, `expected two tensors or numbers, found ${show(a)} and ${show(b)}`);
  return [a, b];
}

type Arithmetic = (g: GraphBuilder, a: Value, b: Operand) => Value;

const arithmetic =
  (apply: Arithmetic, reversed: Arithmetic): Layer =>
  (call) => {
    const [a, b] = operands(call);
    if (typeof a !== 'number') return apply(call.g, a, b);
    if (typeof b !== 'number') return reversed(call.g, b, a);
    throw layerError(call.place, 'expected a tensor, found two numbers');
  };

const extremum =
  (op: string): Arithmetic =>
  (g, a, b) => {
    if (typeof b !== 'number') return binary(g, op, a, b);
    return g.call(op === 'aten.maximum' ? 'aten.clamp_min' : 'aten.clamp_max', [a, b], a);
  };
const commutative = (apply: Arithmetic): Layer => arithmetic(apply, apply);

/** An option of the operation: of its config in Keras 3, of the call in Keras 2. */
function option(call: LayerCall, ...names: string[]): unknown {
  for (const name of names) {
    const found = call.named[name] ?? call.fields.raw(name);
    if (found !== undefined && found !== null) return found;
  }
  return undefined;
}

const reduction =
  (op: string): Layer =>
  (call) => {
    const x = only(call);
    const raw = option(call, 'axis');
    const axes =
      raw === undefined ? x.shape.map((_, index) => index) : (Array.isArray(raw) ? raw : [raw]).map((axis) => axisOf(axis, x, call.place));
    return reduce(call.g, op, x, axes, option(call, 'keepdims', 'keep_dims') === true);
  };

const shapes: Record<string, Layer> = {
  reshape: (call) => {
    const shape = option(call, 'newshape', 'shape', 'target_shape') ?? call.args[1];
    const x = only(call);
    if (!Array.isArray(shape)) throw layerError(call.place, `expected a shape, found ${show(shape)}`);
    const elements = x.shape.slice(1).reduce<number>((product, extent) => product * Number(extent), 1);
    const behind = shape.slice(1).map((extent) => Number(extent ?? -1));
    const given = behind.filter((extent) => extent !== -1).reduce((product, extent) => product * extent, 1);
    return reshape(call.g, x, [x.shape[0] ?? 'B', ...behind.map((extent) => (extent === -1 ? elements / given : extent))]);
  },
  transpose: (call) => {
    const x = only(call);
    const axes = option(call, 'axes', 'perm') ?? call.args[1];
    return permute(
      call.g,
      x,
      Array.isArray(axes) ? axes.map((axis) => axisOf(axis, x, call.place)) : x.shape.map((_, index) => x.shape.length - 1 - index),
    );
  },
  expand_dims: (call) => unsqueeze(call.g, only(call), Number(option(call, 'axis') ?? call.args[1])),
  squeeze: (call) => squeeze(call.g, only(call), Number(option(call, 'axis') ?? call.args[1])),
  concatenate: (call) => {
    const [first] = call.inputs;
    if (!first) throw layerError(call.place, 'expected inputs, found none');
    return cat(call.g, call.inputs, axisOf(Number(option(call, 'axis') ?? 0), first, call.place));
  },
  matmul: (call) => {
    const [a, b] = call.inputs;
    if (!a || !b) throw layerError(call.place, 'expected two tensors');
    return matmul(call.g, a, b);
  },
  cast: (call) => (String(option(call, 'dtype') ?? 'float32').startsWith('float') ? only(call) : toDtype(call.g, only(call), 'int32')),
  power: (call) => {
    const [x, exponent] = operands(call);
    if (typeof x === 'number' || typeof exponent !== 'number')
      throw unsupportedLayer(call.place, 'only a power with a number is supported');
    return call.g.call('aten.pow.Tensor_Scalar', [x, exponent], x);
  },
};

const ARITHMETIC: Record<string, Layer> = {
  add: commutative(add),
  multiply: commutative(mul),
  subtract: arithmetic(sub, (g, x, number) => g.call('aten.rsub.Scalar', [x, number as number], x)),
  divide: arithmetic(div, (g, x, number) => mul(g, unary(g, 'aten.reciprocal', x), number)),
  maximum: commutative(extremum('aten.maximum')),
  minimum: commutative(extremum('aten.minimum')),
  mean: reduction('aten.mean.dim'),
  sum: reduction('aten.sum.dim_IntList'),
  max: reduction('aten.amax'),
  softmax: (call) => softmax(call.g, only(call), Number(option(call, 'axis') ?? -1)),
  ...Object.fromEntries(
    ['negative:neg', 'square', 'sqrt', 'rsqrt', 'exp', 'log', 'absolute:abs', 'abs', 'erf', 'sin', 'cos'].map((each) => {
      const [name = '', op = name] = each.split(':');
      return [name, (call: LayerCall) => unary(call.g, `aten.${op}`, only(call))];
    }),
  ),
};

/** "keras.src.ops.numpy" with "Add"; "TFOpLambda" with the function "math.add". Null where the layer is no operation. */
export function operationOf(
  className: string,
  module: string,
  config: Readonly<Record<string, unknown>>,
): { name: string; apply: Layer | null } | null {
  const lambda = className === 'TFOpLambda';
  if (!lambda && !module.startsWith('keras.src.ops')) return null;
  const full = lambda ? String(config.function) : className;
  const bare = full.replace(/^__(\w+)__/, '$1').replace(/^(math|nn|keras\.activations|keras\.backend|compat\.v1)\./, '');
  const plain = bare.toLowerCase().replace(/_/g, '');
  const name = SYNONYMS[plain] ?? bare.toLowerCase();
  const known = ARITHMETIC[name] ?? shapes[name];
  if (known) return { name: full, apply: known };
  return { name: full, apply: isActivation(name) ? (call) => activate(call.g, only(call), name, call.place) : null };
}
