/** Functions that few models use, and other names of common ones. What backward keeps follows derivatives.yaml. */
import { callOne, define, type Rule, ruleOf } from '../registry.js';
import { contiguousStrides, type Tensor } from '../tensor.js';
import { number, tensor, tensors } from './arguments.js';
import { elementwise, reshape, viewOf } from './core.js';
import { noGradient } from './elementwise.js';
import { steps, unary } from './unary.js';

for (const [name, saves, kernels] of [
  ['sinh', 'input', 2],
  ['cosh', 'input', 2],
  ['tan', 'result', 3],
  ['asin', 'input', 5],
  ['acos', 'input', 5],
  ['atan', 'input', 3],
  ['asinh', 'input', 4],
  ['acosh', 'input', 4],
  ['atanh', 'input', 4],
  ['erfc', 'input', 5],
  ['erfinv', 'input', 5],
  ['exp2', 'result', 2],
  ['log10', 'input', 2],
  ['lgamma', 'input', 2],
  ['digamma', 'input', 2],
  ['sinc', 'input', 8],
  ['nan_to_num', 'input', 4],
  ['softshrink', 'input', 1],
  ['hardshrink', 'input', 1],
] as const)
  define(unary(name, { saves, backward: steps(kernels) }));
define({ ...unary('frac', { saves: 'nothing', backward: (_, grad) => grad }), heaviside: noGradient });

/** atan2(a, b): the reciprocal of the sum of squares, then one product for each. */
const atan2Rule: Rule = (s, args) => {
  const [a, b] = [tensor(args[0]), tensor(args[1])];
  const out = elementwise(s, [a, b]);
  s.record('atan2', [a, b], [out], [a, b], ([grad], needs) => {
    if (!grad) return [null, null];
    for (let i = 0; i < 3; i++) elementwise(s, [a, b]);
    return [needs[0] ? elementwise(s, [grad, elementwise(s, [b])]) : null, needs[1] ? elementwise(s, [grad, elementwise(s, [a])]) : null];
  });
  return out;
};

const xlogyRule: Rule = (s, args) => {
  const [a, b] = [tensor(args[0]), tensor(args[1])];
  const out = elementwise(s, [a, b]);
  s.record('xlogy', [a, b], [out], [a, b], ([grad], needs) => {
    if (!grad) return [null, null];
    const ofFirst = (): Tensor => {
      for (let i = 0; i < 3; i++) elementwise(s, [a, b], 'bool');
      return elementwise(s, [elementwise(s, [grad]), elementwise(s, [b])]);
    };
    return [needs[0] ? s.scope(ofFirst) : null, needs[1] ? s.scope(() => elementwise(s, [elementwise(s, [grad, a]), b])) : null];
  });
  return out;
};

const addcdivRule: Rule = (s, args) => {
  const [base, a, b] = [tensor(args[0]), tensor(args[1]), tensor(args[2])];
  const out = elementwise(s, [base, a, b]);
  s.record('addcdiv', [base, a, b], [out], [b.requiresGrad ? a : null, b], ([grad], needs) => {
    if (!grad) return [null, null, null];
    const second = (): Tensor => elementwise(s, [elementwise(s, [grad]), elementwise(s, [elementwise(s, [a]), elementwise(s, [b])])]);
    return [grad, needs[1] ? s.scope(() => elementwise(s, [grad, elementwise(s, [b])])) : null, needs[2] ? s.scope(second) : null];
  });
  return out;
};

/** A view along two dimensions; its gradient is put into zeros. */
const diagonalRule: Rule = (s, args) => {
  const x = tensor(args[0]);
  const rank = x.shape.length;
  const offset = number(args[1], 0);
  const [a, b] = [number(args[2], 0), number(args[3], 1)].map((d) => (d < 0 ? d + rank : d)) as [number, number];
  const length = Math.max(0, Math.min((x.shape[a] as number) + Math.min(offset, 0), (x.shape[b] as number) - Math.max(offset, 0)));
  const rest = x.shape.map((_, i) => i).filter((i) => i !== a && i !== b);
  const shape = [...rest.map((i) => x.shape[i] as number), length];
  const strides = [...rest.map((i) => x.strides[i] as number), (x.strides[a] as number) + (x.strides[b] as number)];
  return viewOf(s, x, shape, strides, 'diagonal', (grad) => s.empty(x.shape, grad.type));
};

const mvRule: Rule = (s, args) => {
  const [matrix, vector] = [tensor(args[0]), tensor(args[1])];
  const out = s.empty([matrix.size(0)], matrix.type);
  s.tape.countKernel('matrix product');
  s.record('mv', [matrix, vector], [out], [vector.requiresGrad ? matrix : null, matrix.requiresGrad ? vector : null], ([grad], needs) => [
    grad && needs[0] ? s.empty(matrix.shape, matrix.type) : null,
    grad && needs[1] ? s.empty(vector.shape, vector.type) : null,
  ]);
  return out;
};

const dotRule: Rule = (s, args) => {
  const [a, b] = [tensor(args[0]), tensor(args[1])];
  const out = s.empty([], a.type);
  s.record('dot', [a, b], [out], [b.requiresGrad ? a : null, a.requiresGrad ? b : null], ([grad], needs) => [
    grad && needs[0] ? elementwise(s, [grad, b]) : null,
    grad && needs[1] ? elementwise(s, [grad, a]) : null,
  ]);
  return out;
};

const outerRule: Rule = (s, args) => callOne(s, 'mul', [reshape(s, tensor(args[0]), [tensor(args[0]).elements, 1]), tensor(args[1])]);

/** Stacks along the first or the second dimension; vectors along the only one they have. */
const stackedAlong = (dimension: 0 | 1): Rule => {
  return (s, args) => {
    const list = tensors(args[0]);
    const flat = list.every((t) => t.shape.length === 1);
    if (!flat) return callOne(s, 'cat', [list, dimension]);
    return dimension === 1 ? callOne(s, 'cat', [list, 0]) : callOne(s, 'stack', [list, 0]);
  };
};

/** native_dropout: the result and a mask of bytes. */
const nativeDropoutRule: Rule = (s, args) => {
  const x = tensor(args[0]);
  const out = s.emptyLike(x);
  const mask = s.emptyLike(x, 'bool');
  s.record('native_dropout', [x], [out], [mask], ([grad]) => [grad ? elementwise(s, [grad, mask], grad.type) : null]);
  return [out, mask];
};

define({
  atan2: atan2Rule,
  xlogy: xlogyRule,
  addcdiv: addcdivRule,
  diagonal: diagonalRule,
  mv: mvRule,
  dot: dotRule,
  vdot: dotRule,
  outer: outerRule,
  ger: outerRule,
  hstack: stackedAlong(1),
  vstack: stackedAlong(0),
  native_dropout: nativeDropoutRule,
  broadcast_tensors: (s, args) => {
    const list = tensors(args[0]);
    const { shape } = elementwise(s, list);
    return list.map((t) => callOne(s, 'expand', [t, [...shape]]));
  },
  ravel: (s, args) => reshape(s, tensor(args[0]), [tensor(args[0]).elements]),
  randperm: (s, args) => s.empty([number(args[0])], 'int64'),
  isfinite: (s, args) => elementwise(s, [tensor(args[0])], 'bool'),
  searchsorted: (s, args) => s.empty(tensor(args[1]).shape, 'int64', contiguousStrides(tensor(args[1]).shape)),
  bucketize: (s, args) => s.empty(tensor(args[0]).shape, 'int64'),
});

/** Other names of operators with a rule. */
for (const [name, known] of Object.entries({
  clip: 'clamp',
  clip_: 'clamp_',
  subtract: 'sub',
  multiply: 'mul',
  multiply_: 'mul_',
  divide: 'div',
  true_divide: 'div',
  negative: 'neg',
  absolute: 'abs',
  positive: 'alias',
  adjoint: 'mT',
  mH: 'mT',
  lift_fresh: 'alias',
  reflection_pad1d: 'reflection_pad2d',
  reflection_pad3d: 'reflection_pad2d',
  replication_pad1d: 'replication_pad2d',
  replication_pad3d: 'replication_pad2d',
  _upsample_nearest_exact1d: 'upsample_nearest1d',
  _upsample_nearest_exact2d: 'upsample_nearest2d',
  _log_softmax: 'log_softmax',
})) {
  const rule = ruleOf(known);
  if (rule) define({ [name]: rule });
}
