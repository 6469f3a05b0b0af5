/** Functions that transformers gives to autograd whole (torch.autograd.Function), written in Python inside. */
import { define, type Rule } from '../registry.js';
import type { Session } from '../session.js';
import type { Tensor } from '../tensor.js';
import { tensor } from './arguments.js';
import { elementwise } from './core.js';

/** A step of a Python expression: what was `made` for it goes when it is done, what is `held` stays. */
function step(s: Session, made: readonly Tensor[], held: readonly Tensor[] = []): Tensor {
  const out = elementwise(s, [...made, ...held]);
  for (const t of made) s.drop(t);
  return out;
}

/** tanh(0.79788456 * x * (1 + 0.044715 * x * x)) */
function tanhOfCubic(s: Session, x: Tensor): Tensor {
  const scaled = step(s, [], [x]);
  const grown = step(s, [step(s, [step(s, [], [x])], [x])]);
  return step(s, [step(s, [scaled, grown])]);
}

/** modeling_bloom.py, GeLUFunction: keeps its input alone, as the fused gelu does, and makes every step of both formulas. */
const bloomGelu: Rule = (s, args) => {
  const x = tensor(args[0]);
  // x * 0.5 * (1 + tanh(...))
  const half = step(s, [], [x]);
  const out = step(s, [half, step(s, [tanhOfCubic(s, x)])]);
  s.record('bloom_gelu', [x], [out], [x], ([grad]) => {
    if (!grad) return [null];
    // (0.5 * x * ((1 - t * t) * (0.79788456 + 0.1070322243 * x * x)) + 0.5 * (1 + t)) * grad
    const t = tanhOfCubic(s, x);
    const halved = step(s, [], [x]);
    const slope = step(s, [step(s, [], [t])]);
    const inner = step(s, [step(s, [step(s, [], [x])], [x])]);
    const first = step(s, [halved, step(s, [slope, inner])]);
    const factor = step(s, [first, step(s, [step(s, [], [t])])]);
    return [elementwise(s, [factor, grad])];
  });
  return out;
};

define({ 'transformers.bloom_gelu': bloomGelu });
