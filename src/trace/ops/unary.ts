/** Functions of one tensor, element by element: activations, powers, logarithms. What backward saves follows derivatives.yaml. */
import { isFloating } from '../dtype.js';
import { define, type Rule } from '../registry.js';
import { type Release, reluKeepsInput } from '../release.js';
import type { Session } from '../session.js';
import type { Tensor } from '../tensor.js';
import { tensor } from './arguments.js';
import { clone, elementwise } from './core.js';

type UnaryBackward = (s: Session, grad: Tensor, saved: Tensor) => Tensor;

export interface Unary {
  /** What backward needs: the input, the result, or nothing. */
  saves: 'input' | 'result' | 'nothing';
  /** Whether the form that makes a tensor kept its input all the same, in some release. */
  keepsInput?: (release: Release | null | undefined) => boolean;
  /** What the in-place form keeps: its result where the formula has such a form, else a copy of the input. */
  inPlaceSaves?: 'result';
  /** Gradient of the input; temporaries are made as the C++ expression makes them. Default: one fused kernel. */
  backward?: UnaryBackward;
}

const fused: UnaryBackward = (s, grad, saved) => elementwise(s, [grad, saved]);

/** An expression of several kernels: each step's result lives until the last one is done. */
export function steps(count: number): UnaryBackward {
  return (s, grad, saved) => {
    for (let i = 1; i < count; i++) elementwise(s, [saved]);
    return elementwise(s, [grad, saved]);
  };
}

const UNARY: Record<string, Unary> = {
  relu: { saves: 'result', keepsInput: reluKeepsInput },
  sigmoid: { saves: 'result' },
  tanh: { saves: 'result' },
  exp: { saves: 'result' },
  gelu: { saves: 'input' },
  silu: { saves: 'input' },
  mish: { saves: 'input' },
  hardswish: { saves: 'input' },
  hardsigmoid: { saves: 'input' },
  hardtanh: { saves: 'input' },
  relu6: { saves: 'input' },
  leaky_relu: { saves: 'input', inPlaceSaves: 'result' },
  elu: { saves: 'input', inPlaceSaves: 'result' },
  celu: { saves: 'input', inPlaceSaves: 'result' },
  selu: { saves: 'input', inPlaceSaves: 'result' },
  softplus: { saves: 'input' },
  threshold: { saves: 'input' },
  log: { saves: 'input' },
  log1p: { saves: 'input', backward: steps(2) },
  log2: { saves: 'input', backward: steps(2) },
  expm1: { saves: 'result', backward: steps(2) },
  sqrt: { saves: 'result', backward: steps(2) },
  rsqrt: { saves: 'result', backward: steps(3) },
  reciprocal: { saves: 'result', backward: steps(3) },
  sin: { saves: 'input', backward: steps(2) },
  cos: { saves: 'input', backward: steps(3) },
  erf: { saves: 'input', backward: steps(4) },
  abs: { saves: 'input', backward: steps(2) },
  neg: { saves: 'nothing', backward: (s, grad) => elementwise(s, [grad]) },
};

function unaryRule(name: string, rule: Unary, inPlace: boolean): Rule {
  return (s, args) => {
    const x = tensor(args[0]);
    const recorded = s.records([x]);
    let kept: Tensor | null = null;
    if (inPlace && recorded && rule.saves === 'input' && !rule.inPlaceSaves) kept = s.withoutGradients(() => clone(s, x));
    const result = inPlace ? x : elementwise(s, [x], isFloating(x.type) || name === 'neg' || name === 'abs' ? x.type : 'float32');
    const keepsInput = !inPlace && rule.keepsInput?.(s.options.release) === true;
    const savesResult = (rule.saves === 'result' && !keepsInput) || (rule.inPlaceSaves === 'result' && inPlace);
    const saved = rule.saves === 'nothing' ? null : savesResult ? result : (kept ?? x);
    const backward = rule.backward ?? fused;
    s.record(name, [x], [result], [saved], ([grad]) => [grad ? backward(s, grad, saved ?? grad) : null]);
    return result;
  };
}

/** The rules of a function of one tensor and of its in-place form. */
export function unary(name: string, rule: Unary): Record<string, Rule> {
  return { [name]: unaryRule(name, rule, false), [`${name}_`]: unaryRule(name, rule, true) };
}

for (const [name, rule] of Object.entries(UNARY)) define(unary(name, rule));
