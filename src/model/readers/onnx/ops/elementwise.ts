/** Elementwise operators, softmax, reductions. Where all operands are known numbers the result is one, too. */
import type { Value } from '../../../builder.js';
import type { DType } from '../../../graph.js';
import { binary, compare, dropout, gelu, softmax, toDtype, unary } from '../../../ops/elementwise.js';
import { broadcast } from '../../../ops/shapes.js';
import { reduce } from '../../../ops/views.js';
import type { Context, Operator } from '../context.js';
import type { Node } from '../document.js';
import { computeElementwise, type Known } from '../known.js';

/** Computes with known numbers where all inputs are; true when it did. */
function compute(c: Context, node: Node, dtype?: DType): boolean {
  const inputs = node.inputs.map((_, index) => c.known(node, index));
  if (inputs.some((each, index) => each === undefined || c.entry(node.inputs[index] as string, node).value !== undefined)) return false;
  const kind = dtype ?? c.entry(node.inputs[0] as string, node).dtype;
  const result = computeElementwise(node.op, inputs as Known[], kind === 'int64' || kind === 'int32');
  if (result) c.setKnown(node, result, kind);
  return result !== undefined;
}

/** A single known number, or the tensor. */
function operand(c: Context, node: Node, index: number): Value | number {
  const known = c.known(node, index);
  const [first, ...others] = known?.values ?? [];
  return typeof first === 'number' && others.length === 0 ? first : c.tensor(node, index);
}

const arithmetic =
  (op: string, reversed: (c: Context, x: Value, number: number) => Value): Operator =>
  (c, node) => {
    if (compute(c, node)) return;
    const [a, b] = [operand(c, node, 0), operand(c, node, 1)];
    if (typeof a !== 'number') c.setValue(node, binary(c.g, op, a, b));
    else if (typeof b !== 'number') c.setValue(node, reversed(c, b, a));
    else throw c.fail(node, 'expected a tensor');
  };

const commutative = (op: string): Operator => arithmetic(op, (c, x, number) => binary(c.g, op, x, number));

const apply =
  (op: string, args: (c: Context, node: Node) => number[] = () => []): Operator =>
  (c, node) => {
    if (!compute(c, node)) c.setValue(node, unary(c.g, `aten.${op}`, c.tensor(node, 0), args(c, node)));
  };

/** Operators that keep what they were computed from: nothing else may write over it. */
const KEEPERS = new Set([
  'Relu',
  'Sigmoid',
  'Tanh',
  'Softmax',
  'Exp',
  'Sqrt',
  'MaxPool',
  'Identity',
  'Reshape',
  'Transpose',
  'Dropout',
  'LogSoftmax',
  'Gather',
  'Split',
  'Slice',
  'Squeeze',
  'Unsqueeze',
  'Flatten',
  'Clip',
  'LeakyRelu',
]);

/**
 * ReLU and its bounded kin write over their input, as the usual libraries' modules do, where nothing else reads it and
 * what made it does not keep it.
 */
const inPlace =
  (op: string, args: (c: Context, node: Node) => number[] = () => []): Operator =>
  (c, node) => {
    const name = node.inputs[0] ?? '';
    const maker = c.makers.get(name);
    const free = maker !== undefined && !KEEPERS.has(maker.op) && c.onlyUser(name) === node;
    c.setValue(node, unary(c.g, `aten.${op}${free ? '_' : ''}`, c.tensor(node, 0), args(c, node)));
  };

/** Bounds are attributes in the first versions, then inputs. */
const clip: Operator = (c, node) => {
  const bound = (index: number, name: string): number | undefined => {
    const value = c.known(node, index)?.values[0] ?? node.attributes.get(name);
    return typeof value === 'number' ? value : undefined;
  };
  const [low, high] = [bound(1, 'min'), bound(2, 'max')];
  if (low !== undefined && high !== undefined) return inPlace('hardtanh', () => [low, high])(c, node);
  if (low === undefined && high === undefined) return c.setValue(node, c.tensor(node, 0));
  c.setValue(node, unary(c.g, low === undefined ? 'aten.clamp_max' : 'aten.clamp_min', c.tensor(node, 0), [(low ?? high) as number]));
};

const power: Operator = (c, node) => {
  if (compute(c, node)) return;
  const [x, exponent] = [c.tensor(node, 0), operand(c, node, 1)];
  if (typeof exponent === 'number') c.setValue(node, c.g.call('aten.pow.Tensor_Scalar', [x, exponent], x));
  else c.setValue(node, binary(c.g, 'aten.pow.Tensor_Tensor', x, exponent));
};

const comparison =
  (op: string): Operator =>
  (c, node) => {
    if (compute(c, node, 'bool')) return;
    const b = operand(c, node, 1);
    c.setValue(node, compare(c.g, `aten.${op}.${typeof b === 'number' ? 'Scalar' : 'Tensor'}`, c.tensor(node, 0), b));
  };

const extremum =
  (op: string, bound: string): Operator =>
  (c, node) => {
    if (compute(c, node)) return;
    const [a, b] = [operand(c, node, 0), operand(c, node, 1)];
    if (typeof a === 'number' || typeof b === 'number') {
      const x = (typeof a === 'number' ? b : a) as Value;
      c.setValue(node, unary(c.g, `aten.${bound}`, x, [(typeof a === 'number' ? a : b) as number]));
    } else c.setValue(node, binary(c.g, `aten.${op}`, a, b));
  };

const where: Operator = (c, node) => {
  const known = [0, 1, 2].map((index) => c.known(node, index));
  const [condition, yes, no] = known;
  if (condition && yes && no && known.every((each) => each!.values.length === condition.values.length || each!.values.length === 1)) {
    const at = (each: Known, index: number) => each.values[each.values.length === 1 ? 0 : index] as number;
    const values = condition.values.map((flag, index) => (flag !== 0 ? at(yes, index) : at(no, index)));
    return c.setKnown(node, { shape: condition.shape, values }, c.entry(node.inputs[1] as string, node).dtype);
  }
  const [mask, a, b] = [c.tensor(node, 0), operand(c, node, 1), operand(c, node, 2)];
  const [first, second] = [a, b].filter((each): each is Value => typeof each !== 'number');
  const shape = [first, second].reduce((sum, each) => (each ? broadcast(sum, each.shape) : sum), mask.shape);
  const dtype = first?.dtype ?? 'model';
  const op =
    typeof a === 'number'
      ? typeof b === 'number'
        ? 'aten.where.Scalar'
        : 'aten.where.ScalarSelf'
      : typeof b === 'number'
        ? 'aten.where.ScalarOther'
        : 'aten.where.self';
  c.setValue(node, c.g.call(op, [mask, a, b], { shape, dtype }));
};

/** Casts between floats are none: the setup says the precision. */
const cast: Operator = (c, node) => {
  const to = c.number(node, 'to', 1);
  const dtypes: Record<number, DType> = {
    1: 'model',
    2: 'uint8',
    3: 'int8',
    6: 'int32',
    7: 'int64',
    9: 'bool',
    10: 'model',
    11: 'model',
    16: 'model',
  };
  const dtype = dtypes[to] ?? 'model';
  const { known, value } = c.entry(node.inputs[0] ?? '', node);
  if (known && !value) return c.setKnown(node, known, dtype);
  const x = c.tensor(node, 0);
  c.setValue(node, x.dtype === dtype ? x : toDtype(c.g, x, dtype));
};

const reduction =
  (op: string): Operator =>
  (c, node) => {
    const known = c.known(node, 0);
    if (known && op === 'prod' && !c.entry(node.inputs[0] ?? '', node).value) {
      return c.setKnown(node, { shape: [], values: [known.values.reduce<number>((product, each) => product * Number(each), 1)] }, 'int64');
    }
    const x = c.tensor(node, 0);
    const axes = c.integers(node, 1, 'axes') ?? x.shape.map((_, index) => index);
    c.setValue(node, reduce(c.g, `aten.${op}`, x, axes, c.number(node, 'keepdims', 1) === 1));
  };

const softmaxOf: Operator = (c, node) =>
  c.setValue(node, softmax(c.g, c.tensor(node, 0), c.number(node, 'axis', c.document.opset < 13 ? 1 : -1)));

/** Trains only where the file says so: an input in new versions, the mode of the export in old ones. */
const drop: Operator = (c, node) => {
  const x = c.tensor(node, 0);
  const rate = Number(c.known(node, 1)?.values[0] ?? node.attributes.get('ratio') ?? 0.5);
  const training = Number(c.known(node, 2)?.values[0] ?? 0) !== 0;
  c.setValue(node, training && rate > 0 ? dropout(c.g, x, rate) : x);
};

export const ELEMENTWISE_OPERATORS: Record<string, Operator> = {
  Add: commutative('aten.add.Tensor'),
  Mul: commutative('aten.mul.Tensor'),
  Sub: arithmetic('aten.sub.Tensor', (c, x, number) => c.g.call('aten.rsub.Scalar', [x, number], x)),
  Div: arithmetic('aten.div.Tensor', (c, x, number) => binary(c.g, 'aten.mul.Tensor', unary(c.g, 'aten.reciprocal', x), number)),
  Pow: power,
  ...Object.fromEntries(
    'Sqrt Erf Exp Log Tanh Sigmoid Neg Abs Reciprocal Sin Cos Softplus Softsign Mish Floor Ceil Round Sign Not:logical_not HardSwish:hardswish HardSigmoid:hardsigmoid Selu Celu'
      .split(' ')
      .map((each) => {
        const [name = '', op = name.toLowerCase()] = each.split(':');
        return [name, apply(op)];
      }),
  ),
  Relu: inPlace('relu'),
  LeakyRelu: inPlace('leaky_relu', (c, node) => [c.number(node, 'alpha', 0.01)]),
  Elu: apply('elu', (c, node) => [c.number(node, 'alpha', 1)]),
  Gelu: (c, node) => c.setValue(node, gelu(c.g, c.tensor(node, 0), c.text(node, 'approximate', 'none') === 'tanh' ? 'tanh' : undefined)),
  Clip: clip,
  Equal: comparison('eq'),
  Greater: comparison('gt'),
  Less: comparison('lt'),
  GreaterOrEqual: comparison('ge'),
  LessOrEqual: comparison('le'),
  And: (c, node) => compute(c, node, 'bool') || c.setValue(node, compare(c.g, 'aten.logical_and', c.tensor(node, 0), c.tensor(node, 1))),
  Or: (c, node) => compute(c, node, 'bool') || c.setValue(node, compare(c.g, 'aten.logical_or', c.tensor(node, 0), c.tensor(node, 1))),
  Mod: (c, node) => compute(c, node) || c.setValue(node, binary(c.g, 'aten.remainder.Tensor', c.tensor(node, 0), operand(c, node, 1))),
  Max: extremum('maximum', 'clamp_min'),
  Min: extremum('minimum', 'clamp_max'),
  Where: where,
  Cast: cast,
  Softmax: softmaxOf,
  LogSoftmax: (c, node) => c.setValue(node, unary(c.g, 'aten.log_softmax.int', c.tensor(node, 0), [c.number(node, 'axis', -1)])),
  Dropout: drop,
  ReduceMean: reduction('mean.dim'),
  ReduceSum: reduction('sum.dim_IntList'),
  ReduceMax: reduction('amax'),
  ReduceMin: reduction('amin'),
  ReduceProd: reduction('prod'),
};
