/** Elementwise operators: arithmetic, activations, comparisons. What backward saves follows derivatives.yaml. */
import { type ElementType, isFloating } from '../dtype.js';
import { callOne, define, type Rule, type Value } from '../registry.js';
import type { Session } from '../session.js';
import { Tensor } from '../tensor.js';
import { number, tensor } from './arguments.js';
import { clone, elementwise, resultType, secondFirst } from './core.js';

type Operand = Tensor | number;

/** Splits operands into tensors and numbers; a comparison of kinds as torch.result_type does with a wrapped number. */
function typeWith(operands: Operand[]): ElementType {
  const real = operands.filter((o): o is Tensor => o instanceof Tensor);
  const type = resultType(real);
  const hasFraction = operands.some((o) => typeof o === 'number' && !Number.isInteger(o));
  return hasFraction && !isFloating(type) ? 'float32' : type;
}

const operand = (value: Value | undefined): Operand => (value instanceof Tensor ? value : number(value));
const onlyTensors = (operands: Operand[]): Tensor[] => operands.filter((o): o is Tensor => o instanceof Tensor);

function times(s: Session, a: Tensor, b: Operand): Tensor {
  const list = onlyTensors([a, b]);
  return elementwise(s, list, typeWith([a, b]));
}

/** The output of a binary operator: the first operand itself where it works in place. */
function destination(s: Session, a: Operand, b: Operand, inPlace: boolean, type = typeWith([a, b])): Tensor {
  return inPlace ? (a as Tensor) : elementwise(s, onlyTensors([a, b]), type);
}

const asTensor = (o: Operand): Tensor | null => (o instanceof Tensor ? o : null);

function addRule(sign: 1 | -1, inPlace: boolean, reversed = false): Rule {
  return (s, args, named) => {
    const [a, b] = reversed ? [operand(args[1]), operand(args[0])] : [operand(args[0]), operand(args[1])];
    const alpha = number(named.alpha ?? args[2] ?? null, 1);
    const out = destination(s, a, b, inPlace);
    s.record('add', [asTensor(a), asTensor(b)], [out], [], ([grad], needs) => {
      if (!grad) return [null, null];
      return [grad, needs[1] && sign * alpha !== 1 ? elementwise(s, [grad]) : grad];
    });
    return out;
  };
}

function mulRule(inPlace: boolean): Rule {
  return (s, args) => {
    const a = operand(args[0]);
    const b = operand(args[1]);
    const x = asTensor(a);
    const y = asTensor(b);
    // In place the first operand is overwritten: what the second one's gradient needs is copied before.
    const original = inPlace && y?.requiresGrad && s.gradientsEnabled ? s.withoutGradients(() => clone(s, x as Tensor)) : x;
    const out = destination(s, a, b, inPlace);
    s.record('mul', [x, y], [out], [x?.requiresGrad ? y : null, y?.requiresGrad ? original : null], ([grad], needs) => {
      if (!grad) return [null, null];
      return secondFirst(
        needs,
        () => times(s, grad, b),
        () => times(s, grad, original ?? a),
      );
    });
    return out;
  };
}

function divRule(inPlace: boolean): Rule {
  return (s, args, named) => {
    const a = operand(args[0]);
    const b = operand(args[1]);
    const x = asTensor(a);
    const y = asTensor(b);
    const rounded = typeof named.rounding_mode === 'string' || typeof args[2] === 'string';
    const type = typeWith([a, b]);
    const out = destination(s, a, b, inPlace, rounded || isFloating(type) ? type : 'float32');
    if (rounded) return out;
    const original = inPlace && y?.requiresGrad && s.gradientsEnabled ? s.withoutGradients(() => clone(s, x as Tensor)) : x;
    s.record('div', [x, y], [out], [y, y?.requiresGrad ? original : null], ([grad], needs) => {
      if (!grad) return [null, null];
      // -grad * ((self / other) / other)
      const second = (): Tensor => {
        const negative = elementwise(s, [grad]);
        const quotient = times(s, original ?? (y as Tensor), b);
        return times(s, negative, times(s, quotient, b));
      };
      return secondFirst(
        needs,
        () => times(s, grad, b),
        () => s.scope(second),
      );
    });
    return out;
  };
}

const powRule: Rule = (s, args) => {
  const a = operand(args[0]);
  const b = operand(args[1]);
  const x = asTensor(a);
  const y = asTensor(b);
  const out = elementwise(s, onlyTensors([a, b]), typeWith([a, b]));
  s.record('pow', [x, y], [out], [x, y, y?.requiresGrad ? out : null], ([grad], needs) => {
    if (!grad) return [null, null];
    const base = (x ?? y) as Tensor;
    // grad * (exponent * self.pow(exponent - 1)), and grad * (result * self.log())
    return secondFirst(
      needs,
      () => s.scope(() => times(s, grad, times(s, elementwise(s, onlyTensors([a, b])), 1))),
      () => s.scope(() => times(s, grad, times(s, out, elementwise(s, [base])))),
    );
  });
  return out;
};

/** A composite: autocast sees the power. */
const squareRule: Rule = (s, args) => callOne(s, 'pow.Tensor_Scalar', [args[0] ?? null, 2]);

const compareRule: Rule = (s, args) => elementwise(s, onlyTensors([operand(args[0]), operand(args[1] ?? 0)]), 'bool');
const integerRule: Rule = (s, args) => {
  const list = [operand(args[0]), operand(args[1] ?? 0)];
  return elementwise(s, onlyTensors(list), typeWith(list));
};

/** clamp and its one-sided forms: the mask of what lies inside is made again in backward. */
function clampRule(bounds: 1 | 2, inPlace: boolean): Rule {
  return (s, args) => {
    const x = tensor(args[0]);
    const limits = args.slice(1, 1 + bounds).filter((v): v is number => typeof v === 'number');
    const recorded = s.records([x]);
    const saved = inPlace && recorded ? s.withoutGradients(() => clone(s, x)) : x;
    const out = inPlace ? x : elementwise(s, [x]);
    s.record('clamp', [x], [out], [saved], ([grad]) => {
      if (!grad) return [null];
      for (const _ of limits) elementwise(s, [saved], 'bool');
      return [elementwise(s, [grad])];
    });
    return out;
  };
}

/** maximum and minimum of two tensors: where(self == other, grad / 2, grad) with the losers zeroed, twice. */
const extremumRule: Rule = (s, args) => {
  const a = tensor(args[0]);
  const b = tensor(args[1]);
  const out = elementwise(s, [a, b]);
  s.record('maximum', [a, b], [out], [a, b], ([grad], needs) => {
    if (!grad) return [null, null];
    const one = (): Tensor => {
      elementwise(s, [a, b], 'bool');
      elementwise(s, [grad]);
      const chosen = elementwise(s, [a, b, grad], grad.type);
      elementwise(s, [a, b], 'bool');
      return s.options.outOfPlaceSums ? elementwise(s, [chosen]) : chosen;
    };
    return secondFirst(
      needs,
      () => s.scope(one),
      () => s.scope(one),
    );
  });
  return out;
};

const addcmulRule: Rule = (s, args) => {
  const [base, a, b] = [tensor(args[0]), tensor(args[1]), tensor(args[2])];
  const out = elementwise(s, [base, a, b]);
  s.record('addcmul', [base, a, b], [out], [b.requiresGrad ? a : null, a.requiresGrad ? b : null], ([grad], needs) => {
    if (!grad) return [null, null, null];
    return [
      grad,
      needs[1] ? s.scope(() => elementwise(s, [grad, elementwise(s, [b])])) : null,
      needs[2] ? s.scope(() => elementwise(s, [grad, elementwise(s, [a])])) : null,
    ];
  });
  return out;
};

const lerpRule: Rule = (s, args) => {
  const [a, b, w] = [tensor(args[0]), tensor(args[1]), operand(args[2])];
  const weight = asTensor(w);
  const out = elementwise(s, [a, b]);
  s.record('lerp', [a, b, weight], [out], [weight, ...(weight?.requiresGrad ? [a, b] : [])], ([grad], needs) => {
    if (!grad) return [null, null, null];
    const scaled = (): Tensor => times(s, grad, w);
    return [...secondFirst(needs, scaled, scaled), needs[2] ? elementwise(s, [grad, elementwise(s, [a, b])]) : null];
  });
  return out;
};

const whereRule: Rule = (s, args) => {
  const condition = tensor(args[0]);
  const a = operand(args[1]);
  const b = operand(args[2]);
  const out = elementwise(s, onlyTensors([condition, a, b]), typeWith([a, b].some((o) => o instanceof Tensor) ? [a, b] : [a, b]));
  s.record('where', [asTensor(a), asTensor(b)], [out], [condition], ([grad], needs) => {
    if (!grad) return [null, null];
    const masked = (): Tensor => elementwise(s, [condition, grad], grad.type);
    return secondFirst(needs, masked, masked);
  });
  return out;
};

function maskedFillRule(inPlace: boolean): Rule {
  return (s, args) => {
    const x = tensor(args[0]);
    const mask = tensor(args[1]);
    const out = inPlace ? x : elementwise(s, [x, mask], x.type);
    s.record('masked_fill', [x], [out], [mask], ([grad]) => [grad ? elementwise(s, [grad, mask], grad.type) : null]);
    return out;
  };
}

/** glu halves a dimension; backward makes the whole input's gradient from the saved input. */
const gluRule: Rule = (s, args) => {
  const x = tensor(args[0]);
  const at = number(args[1], -1);
  const d = at < 0 ? at + x.shape.length : at;
  const out = s.empty(
    x.shape.map((size, i) => (i === d ? size / 2 : size)),
    x.type,
  );
  s.record('glu', [x], [out], [x], ([grad]) => [grad ? s.emptyLike(x) : null]);
  return out;
};

/** prelu: one slope per channel; both gradients come from one kernel, the slope's in full size and then summed. */
const preluRule: Rule = (s, args) => {
  const x = tensor(args[0]);
  const slope = tensor(args[1]);
  const shape = x.shape.map((_, i) => (i === 1 ? slope.elements : 1));
  const out = elementwise(s, [x]);
  s.record('prelu', [x, slope], [out], [x, slope], ([grad]) => {
    if (!grad) return [null, null];
    const full = elementwise(s, [grad, x]);
    elementwise(s, [grad, x]);
    s.empty(shape, slope.type);
    return [full, s.empty(slope.shape, slope.type)];
  });
  return out;
};

/** log_sigmoid keeps a buffer beside its input. */
const logSigmoidRule: Rule = (s, args) => {
  const x = tensor(args[0]);
  const out = elementwise(s, [x]);
  s.record('log_sigmoid', [x], [out], [x], ([grad]) => [grad ? elementwise(s, [grad, x]) : null]);
  return out;
};

export const noGradient: Rule = (s, args) => elementwise(s, [tensor(args[0])]);
const sameInPlace: Rule = (_, args) => tensor(args[0]);

for (const name of ['eq', 'ne', 'lt', 'le', 'gt', 'ge', 'logical_and', 'logical_or', 'logical_xor', 'isnan', 'isinf'])
  define({ [name]: compareRule });
for (const name of [
  'remainder',
  'fmod',
  'bitwise_and',
  'bitwise_or',
  'bitwise_xor',
  '__and__',
  '__or__',
  'floor_divide',
  '__lshift__',
  '__rshift__',
])
  define({ [name]: integerRule });
for (const name of ['floor', 'ceil', 'round', 'trunc', 'sign', 'sgn', 'bitwise_not'])
  define({ [name]: noGradient, [`${name}_`]: sameInPlace });
define({
  logical_not: (s, args) => elementwise(s, [tensor(args[0])], 'bool'),
  add: addRule(1, false),
  add_: addRule(1, true),
  sub: addRule(-1, false),
  sub_: addRule(-1, true),
  rsub: addRule(-1, false, true),
  mul: mulRule(false),
  mul_: mulRule(true),
  div: divRule(false),
  div_: divRule(true),
  pow: powRule,
  square: squareRule,
  clamp: clampRule(2, false),
  clamp_: clampRule(2, true),
  clamp_min: clampRule(1, false),
  clamp_min_: clampRule(1, true),
  clamp_max: clampRule(1, false),
  maximum: extremumRule,
  minimum: extremumRule,
  'max.other': extremumRule,
  'min.other': extremumRule,
  addcmul: addcmulRule,
  lerp: lerpRule,
  where: whereRule,
  masked_fill: maskedFillRule(false),
  masked_fill_: maskedFillRule(true),
  glu: gluRule,
  prelu: preluRule,
  log_sigmoid: logSigmoidRule,
  softsign: (s, args) => {
    const x = tensor(args[0]);
    const scale = elementwise(s, [x]);
    const shifted = elementwise(s, [scale]);
    const out = elementwise(s, [x]);
    s.record('softsign', [x], [out], [x, shifted], ([grad]) => [grad ? elementwise(s, [grad, elementwise(s, [x])]) : null]);
    return out;
  },
});
