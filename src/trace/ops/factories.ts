/** Operators that make tensors from nothing, fill them, or draw random numbers. */
import type { ElementType } from '../dtype.js';
import { define, type Named, type Rule, type Value } from '../registry.js';
import type { Session } from '../session.js';
import { likeStrides, type Tensor } from '../tensor.js';
import { elementType, number, numbers, tensor } from './arguments.js';
import { elementwise } from './core.js';

function typed(s: Session, named: Named, fallback: ElementType): ElementType {
  return elementType(s, named.dtype) ?? fallback;
}

const filled =
  (fallback: ElementType = 'float32'): Rule =>
  (s, args, named) =>
    s.empty(numbers(args[0]), typed(s, named, fallback));

const filledLike: Rule = (s, args, named) => {
  const x = tensor(args[0]);
  return s.empty(x.shape, typed(s, named, x.type), likeStrides(x));
};

const newFilled: Rule = (s, args, named) => s.empty(numbers(args[1]), typed(s, named, tensor(args[0]).type));

/** arange(end), arange(start, end) and arange(start, end, step): int64 unless a bound is a fraction. */
const arangeRule: Rule = (s, args, named) => {
  const bounds = args.filter((v): v is number => typeof v === 'number');
  const [start, end, step] = bounds.length === 1 ? [0, bounds[0] as number, 1] : [bounds[0] ?? 0, bounds[1] ?? 0, bounds[2] ?? 1];
  const whole = bounds.every(Number.isInteger);
  return s.empty([Math.max(0, Math.ceil((end - start) / step))], typed(s, named, whole ? 'int64' : 'float32'));
};

const fullRule: Rule = (s, args, named) => {
  const value: Value = args[1] ?? 0;
  return s.empty(numbers(args[0]), typed(s, named, typeof value === 'boolean' ? 'bool' : Number.isInteger(value) ? 'int64' : 'float32'));
};

const scalarRule: Rule = (s, args, named) =>
  s.host([], typed(s, named, typeof args[0] === 'number' && Number.isInteger(args[0]) ? 'int64' : 'float32'));

/** Overwrites a tensor that has no history worth keeping. */
const overwrite: Rule = (_, args) => tensor(args[0]);

/** Random draws per element, as stochastic depth makes them. */
const bernoulliRule: Rule = (s, args) => elementwise(s, [tensor(args[0])]);

/** native_dropout where the kernel is fused: result and a byte mask; p = 0 (or not training) returns the input itself. */
const dropoutRule: Rule = (s, args) => {
  const x = tensor(args[0]);
  const p = number(args[1]);
  if (p === 0 || args[2] === false) return x;
  const out = elementwise(s, [x]);
  const mask = s.empty(out.shape, 'bool', out.strides);
  s.record('native_dropout', [x], [out], [mask], ([grad]) => [grad ? elementwise(s, [grad, mask], grad.type) : null]);
  return out;
};

/** In place, dropout multiplies by noise of the input's own type, and keeps that. */
function noiseDropout(inPlace: boolean, shapeOf: (x: Tensor) => number[]): Rule {
  return (s, args) => {
    const x = tensor(args[0]);
    if (number(args[1]) === 0 || args[2] === false) return x;
    const noise = s.empty(shapeOf(x), x.type);
    const out = inPlace ? x : elementwise(s, [x, noise]);
    s.record('mul', [x], [out], [noise], ([grad]) => [grad ? elementwise(s, [grad, noise]) : null]);
    return out;
  };
}

const perFeature = (x: Tensor): number[] => x.shape.map((n, i) => (i < 2 ? n : 1));

define({
  zeros: filled(),
  ones: filled(),
  empty: filled(),
  rand: filled(),
  randn: filled(),
  randint: filled('int64'),
  zeros_like: filledLike,
  ones_like: filledLike,
  empty_like: filledLike,
  full_like: filledLike,
  rand_like: filledLike,
  randn_like: filledLike,
  new_zeros: newFilled,
  new_ones: newFilled,
  new_empty: newFilled,
  new_full: newFilled,
  full: fullRule,
  arange: arangeRule,
  linspace: (s, args, named) => s.empty([number(args[2])], typed(s, named, 'float32')),
  eye: (s, args, named) => s.empty([number(args[0]), typeof args[1] === 'number' ? args[1] : number(args[0])], typed(s, named, 'float32')),
  scalar_tensor: scalarRule,
  tensor: scalarRule,
  fill: filledLike,
  fill_: overwrite,
  zero_: overwrite,
  bernoulli: bernoulliRule,
  bernoulli_: overwrite,
  uniform_: overwrite,
  normal_: overwrite,
  dropout: dropoutRule,
  feature_dropout: noiseDropout(false, perFeature),
  feature_dropout_: noiseDropout(true, perFeature),
  dropout_: noiseDropout(true, (x) => [...x.shape]),
});
