/** Reductions along dimensions, and the softmaxes. */
import { type ElementType, isFloating } from '../dtype.js';
import { define, type Named, type Rule, type Value } from '../registry.js';
import { softmaxKeepsInput } from '../release.js';
import type { Session } from '../session.js';
import type { Tensor } from '../tensor.js';
import { dimension, elementType, flag, number, numbers, tensor } from './arguments.js';
import { addedIntoZeros, castTo, elementwise, expand } from './core.js';
import { unsqueeze } from './views.js';

interface Reduced {
  dims: number[];
  keep: boolean;
  shape: number[];
}

function reduced(x: Tensor, dimsValue: Value | undefined, keepValue: Value | undefined): Reduced {
  const listed = dimsValue === null || dimsValue === undefined ? [] : numbers(dimsValue);
  const dims = (listed.length > 0 ? listed : x.shape.map((_, i) => i)).map((d) => (d < 0 ? d + x.shape.length : d));
  const keep = flag(keepValue);
  const shape = keep ? x.shape.map((n, i) => (dims.includes(i) ? 1 : n)) : x.shape.filter((_, i) => !dims.includes(i));
  return { dims, keep, shape };
}

/** The gradient of a reduction, seen in the input's shape without a copy. */
function restored(s: Session, grad: Tensor, x: readonly number[], r: Reduced): Tensor {
  let g = grad;
  if (!r.keep) for (const d of [...r.dims].sort((a, b) => a - b)) g = unsqueeze(s, g, d);
  return expand(s, g, x);
}

const resultDtype = (s: Session, x: Tensor, named: Named, autocastFloat: boolean): ElementType => {
  const asked = elementType(s, named.dtype);
  if (asked) return asked;
  if (autocastFloat && s.autocastType && isFloating(x.type)) return 'float32';
  return isFloating(x.type) ? x.type : 'int64';
};

/** sum: its gradient is an expanded view. mean: that divided, a new tensor. */
function sumRule(mean: boolean): Rule {
  return (s, args, named) => {
    const x = tensor(args[0]);
    const r = reduced(x, args[1], args[2]);
    const type = resultDtype(s, x, named, !mean);
    const out = s.empty(r.shape, type);
    s.log?.add('reduction', mean ? 'mean' : 'sum', [x], [out]);
    const shape = x.shape;
    s.record(mean ? 'mean' : 'sum', [x], [out], [], ([grad]) => {
      if (!grad) return [null];
      const full = restored(s, grad, shape, r);
      return [mean ? elementwise(s, [full]) : full];
    });
    return out;
  };
}

/** amax, amin: the elements equal to the result share its gradient. */
const extremeRule: Rule = (s, args) => {
  const x = tensor(args[0]);
  const r = reduced(x, args[1], args[2]);
  const out = s.empty(r.shape, x.type);
  s.record('amax', [x], [out], [x, out], ([grad]) => {
    if (!grad) return [null];
    const mask = elementwise(s, [x], 'bool');
    elementwise(s, [mask, x], x.type);
    s.empty(r.shape, 'int64');
    return [elementwise(s, [x])];
  });
  return out;
};

/** max and min along a dimension, topk and sort: values with their int64 indices; backward scatters into zeros. */
function withIndices(shapeOf: (x: Tensor, args: Value[]) => number[]): Rule {
  return (s, args) => {
    const x = tensor(args[0]);
    const shape = shapeOf(x, args);
    const values = s.empty(shape, x.type);
    const indices = s.empty(shape, 'int64');
    s.record('max', [x], [values], [indices], ([grad]) => [grad ? addedIntoZeros(s, x) : null]);
    return [values, indices];
  };
}

/** var, std and their pairs with the mean: backward is (2 / n) * grad * (x - mean). */
function varianceRule(pair: boolean): Rule {
  return (s, args, named) => {
    const x = tensor(args[0]);
    const plain = typeof args[1] === 'boolean';
    const r = plain ? reduced(x, null, false) : reduced(x, args[1], named.keepdim ?? args[3]);
    const out = s.empty(r.shape, x.type);
    const mean = pair ? s.empty(r.shape, x.type) : null;
    s.record('var', [x], [out, mean], [x], ([gradOut, gradMean]) => {
      let total: Tensor | null = null;
      if (gradOut) {
        const scaled = s.empty(gradOut.shape, x.type);
        s.empty(
          x.shape.map((n, i) => (r.dims.includes(i) ? 1 : n)),
          x.type,
        );
        const centred = elementwise(s, [x]);
        total = elementwise(s, [restored(s, scaled, x.shape, r), centred]);
      }
      if (gradMean) {
        const part = elementwise(s, [restored(s, gradMean, x.shape, r)]);
        total = total ? elementwise(s, [total, part]) : part;
      }
      return [total];
    });
    return mean ? [out, mean] : out;
  };
}

function softmaxRule(name: string): Rule {
  return (s, args, named) => {
    const given = tensor(args[0]);
    const asked = elementType(s, args[2]) ?? elementType(s, named.dtype) ?? (s.autocastType && isFloating(given.type) ? 'float32' : null);
    // Only float16 is widened inside the kernel; any other type is cast first.
    const inside = asked === 'float32' && given.type === 'float16' && s.options.capability > 0;
    const x = asked && !inside ? castTo(s, given, asked) : given;
    const type = asked ?? x.type;
    const out = s.empty(x.shape, type);
    s.log?.add('softmax', name, [x], [out]);
    s.record(name, [x], [out], softmaxKeepsInput(s.options.release) ? [x, out] : [out], ([grad]) => [
      grad ? s.empty(x.shape, x.type) : null,
    ]);
    return out;
  };
}

const logsumexpRule: Rule = (s, args) => {
  const x = tensor(args[0]);
  const r = reduced(x, args[1], args[2]);
  const out = s.empty(r.shape, x.type);
  s.record('logsumexp', [x], [out], [x, out], ([grad]) => {
    if (!grad) return [null];
    const shifted = elementwise(s, [x]);
    elementwise(s, [shifted]);
    return [elementwise(s, [x])];
  });
  return out;
};

const cumsumRule: Rule = (s, args, named) => {
  const x = tensor(args[0]);
  const out = s.emptyLike(x, resultDtype(s, x, named, true));
  s.record('cumsum', [x], [out], [], ([grad]) => {
    if (!grad) return [null];
    return [elementwise(s, [elementwise(s, [elementwise(s, [grad])])])];
  });
  return out;
};

const argRule: Rule = (s, args) => {
  const x = tensor(args[0]);
  const r = reduced(x, args[1], args[2]);
  return s.empty(r.shape, 'int64');
};

const boolRule: Rule = (s, args) => s.empty(reduced(tensor(args[0]), args[1], args[2]).shape, 'bool');

const alongDimension = (x: Tensor, args: Value[]): number[] => reduced(x, args[1], args[2]).shape;

define({
  sum: sumRule(false),
  mean: sumRule(true),
  amax: extremeRule,
  amin: extremeRule,
  max: extremeRule,
  min: extremeRule,
  'max.dim': withIndices(alongDimension),
  'min.dim': withIndices(alongDimension),
  topk: withIndices((x, args) => x.shape.map((n, i) => (i === dimension(args[2], x.shape.length, -1) ? number(args[1]) : n))),
  sort: withIndices((x) => [...x.shape]),
  argsort: (s, args) => s.empty(tensor(args[0]).shape, 'int64'),
  var: varianceRule(false),
  std: varianceRule(false),
  var_mean: varianceRule(true),
  std_mean: varianceRule(true),
  softmax: softmaxRule('_softmax'),
  _softmax: softmaxRule('_softmax'),
  _safe_softmax: softmaxRule('_safe_softmax'),
  log_softmax: softmaxRule('_log_softmax'),
  logsumexp: logsumexpRule,
  cumsum: cumsumRule,
  argmax: argRule,
  argmin: argRule,
  any: boolRule,
  all: boolRule,
});
