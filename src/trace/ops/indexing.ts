/** Joining, picking and moving elements: cat, stack, index, gather, embedding, pad, roll, flip, repeat. */

import { define, type Rule } from '../registry.js';
import type { Session } from '../session.js';
import { broadcastShapes, channelsLastStrides, contiguousStrides, product, suggestsChannelsLast, Tensor } from '../tensor.js';
import { dimension, number, numbers, tensor, tensors } from './arguments.js';
import { addedIntoZeros, clone, contiguous, elementwise, expand, permute, reshape, resultType, sumTo } from './core.js';
import { select, slice } from './views.js';

/** cat: backward hands out slices of the gradient, all views of it. */
export function cat(s: Session, list: readonly Tensor[], d: number): Tensor {
  const parts = list.filter((t) => !(t.shape.length === 1 && t.shape[0] === 0));
  const [head] = parts as [Tensor];
  const shape = head.shape.map((n, i) => (i === d ? parts.reduce((sum, t) => sum + (t.shape[i] as number), 0) : n));
  const channelsLast = parts.every(suggestsChannelsLast);
  const out = s.empty(shape, resultType(parts), channelsLast ? channelsLastStrides(shape) : contiguousStrides(shape));
  const sizes = parts.map((t) => t.shape[d] as number);
  s.record('cat', parts, [out], [], ([grad], needs) => {
    let start = 0;
    return sizes.map((size, i) => {
      start += size;
      return grad && needs[i] ? slice(s, grad, d, start - size, start) : null;
    });
  });
  return out;
}

const stackRule: Rule = (s, args) => {
  const list = tensors(args[0]);
  const [head] = list as [Tensor];
  const d = dimension(args[1], head.shape.length + 1);
  const out = s.empty([...head.shape.slice(0, d), list.length, ...head.shape.slice(d)], resultType(list));
  s.record('stack', list, [out], [], ([grad], needs) => list.map((_, i) => (grad && needs[i] ? select(s, grad, d) : null)));
  return out;
};

/** Indexing by tensors: backward adds into zeros of the source's size. */
const indexRule: Rule = (s, args) => {
  const x = tensor(args[0]);
  const indices = (Array.isArray(args[1]) ? args[1] : [args[1]]).map((v) => (v instanceof Tensor ? v : null));
  const given = indices.filter((t): t is Tensor => t !== null);
  const picked = given.map((t) => t.shape).reduce((a, b) => broadcastShapes(a, b), []);
  const shape: number[] = [];
  let placed = false;
  const consecutive = !/1+0+1/.test(indices.map((t) => (t ? '1' : '0')).join(''));
  if (!consecutive) {
    shape.push(...picked);
    placed = true;
  }
  x.shape.forEach((n, i) => {
    if (!indices[i]) shape.push(n);
    else if (!placed) {
      shape.push(...picked);
      placed = true;
    }
  });
  const out = s.empty(shape, x.type);
  s.record('index', [x], [out], given, ([grad]) => [grad ? addedIntoZeros(s, x) : null]);
  return out;
};

const indexPut: (inPlace: boolean) => Rule = (inPlace) => (s, args) => {
  const x = tensor(args[0]);
  const values = tensor(args[2]);
  const indices = (Array.isArray(args[1]) ? args[1] : []).filter((v): v is Tensor => v instanceof Tensor);
  const out = inPlace ? x : clone(s, x);
  s.record('index_put', [x, values], [out], indices, ([grad], needs) => [
    grad && needs[0] ? elementwise(s, [grad]) : null,
    grad && needs[1] ? s.empty(values.shape, values.type) : null,
  ]);
  return out;
};

const gatherRule: Rule = (s, args) => {
  const x = tensor(args[0]);
  const index = tensor(args[2]);
  const out = s.empty(index.shape, x.type);
  s.record('gather', [x], [out], [index, x], ([grad]) => [grad ? addedIntoZeros(s, x) : null]);
  return out;
};

const indexSelectRule: Rule = (s, args) => {
  const x = tensor(args[0]);
  const d = dimension(args[1], x.shape.length);
  const index = tensor(args[2]);
  const out = s.empty(
    x.shape.map((n, i) => (i === d ? index.elements : n)),
    x.type,
  );
  s.record('index_select', [x], [out], [index], ([grad]) => [grad ? addedIntoZeros(s, x) : null]);
  return out;
};

function scatterRule(inPlace: boolean, adds: boolean): Rule {
  return (s, args) => {
    const x = tensor(args[0]);
    const index = tensor(args[2]);
    const source = args[3] instanceof Tensor ? args[3] : null;
    const out = inPlace ? x : clone(s, x);
    s.record('scatter', [x, source], [out], [index], ([grad], needs) => [
      grad && needs[0] ? (adds ? grad : elementwise(s, [grad])) : null,
      grad && needs[1] ? s.empty(index.shape, grad.type) : null,
    ]);
    return out;
  };
}

/** index_add: out of place it copies; the source's gradient is picked from the result's. */
function indexAddRule(inPlace: boolean): Rule {
  return (s, args) => {
    const x = tensor(args[0]);
    const index = tensor(args[2]);
    const source = tensor(args[3]);
    const out = inPlace ? x : clone(s, x);
    s.record('index_add', [x, source], [out], [index], ([grad], needs) => [
      grad ?? null,
      grad && needs[1] ? s.empty(source.shape, grad.type) : null,
    ]);
    return out;
  };
}

/** embedding: rows of the weight; its gradient is dense, as large as the whole table. */
const embeddingRule: Rule = (s, args) => {
  const weight = tensor(args[0]);
  const indices = tensor(args[1]);
  const out = s.empty([...indices.shape, weight.size(1)], weight.type);
  s.record('embedding', [weight], [out], [indices], ([grad]) => [grad ? s.empty(weight.shape, grad.type) : null]);
  return out;
};

/** Pads as F.pad lists them: from the last dimension, before and after. Negative ones crop. */
export function constantPad(s: Session, x: Tensor, pads: readonly number[]): Tensor {
  const rank = x.shape.length;
  const padsOf = (i: number): [number, number] => [pads[2 * (rank - 1 - i)] ?? 0, pads[2 * (rank - 1 - i) + 1] ?? 0];
  const shape = x.shape.map((n, i) => n + padsOf(i)[0] + padsOf(i)[1]);
  const out = s.empty(shape, x.type, suggestsChannelsLast(x) ? channelsLastStrides(shape) : contiguousStrides(shape));
  s.record('constant_pad_nd', [x], [out], [], ([grad]) => [
    grad
      ? constantPad(
          s,
          grad,
          pads.map((p) => -p),
        )
      : null,
  ]);
  return out;
}

const padRule: Rule = (s, args) => {
  const mode = typeof args[2] === 'string' ? args[2] : 'constant';
  const x = tensor(args[0]);
  if (numbers(args[1]).every((p) => p === 0)) return clone(s, x);
  return mode === 'constant' ? constantPad(s, x, numbers(args[1])) : reflectionPad(s, x, numbers(args[1]));
};

function reflectionPad(s: Session, x: Tensor, pads: readonly number[]): Tensor {
  const rank = x.shape.length;
  const out = s.empty(
    x.shape.map((n, i) => n + (pads[2 * (rank - 1 - i)] ?? 0) + (pads[2 * (rank - 1 - i) + 1] ?? 0)),
    x.type,
  );
  s.record('reflection_pad', [x], [out], [x], ([grad]) => [grad ? s.empty(x.shape, x.type) : null]);
  return out;
}

/** A copy in another order whose backward is the same kind of copy. */
function reordered(name: string): Rule {
  return (s, args) => {
    const x = tensor(args[0]);
    const out = s.empty(x.shape, x.type, name === 'flip' ? undefined : contiguousStrides(x.shape));
    s.record(name, [x], [out], [], ([grad]) => [grad ? s.empty(grad.shape, grad.type) : null]);
    return out;
  };
}

function triangleRule(inPlace: boolean): Rule {
  return (s, args) => {
    const x = tensor(args[0]);
    const out = inPlace ? x : s.empty(x.shape, x.type);
    s.record('tril', [x], [out], [], ([grad]) => [grad ? s.empty(grad.shape, grad.type) : null]);
    return out;
  };
}

/** repeat: one copy of the whole; backward sums the copies. */
const repeatRule: Rule = (s, args) => {
  const x = tensor(args[0]);
  // tile names fewer repeats than dimensions where the leading ones stay as they are.
  const named = numbers(args[1]);
  const repeats = [...new Array<number>(Math.max(0, x.shape.length - named.length)).fill(1), ...named];
  const lead = repeats.length - x.shape.length;
  const padded = [...new Array<number>(lead).fill(1), ...x.shape];
  const out = s.empty(
    padded.map((n, i) => n * (repeats[i] as number)),
    x.type,
  );
  s.record('repeat', [x], [out], [], ([grad]) => {
    if (!grad) return [null];
    const split: number[] = [];
    const kept: number[] = [];
    padded.forEach((n, i) => {
      if (repeats[i] !== 1) {
        split.push(repeats[i] as number);
        kept.push(1);
      }
      split.push(n);
      kept.push(n);
    });
    if (split.length === padded.length) return [reshape(s, grad, x.shape)];
    return [reshape(s, sumTo(s, reshape(s, grad, split), kept), x.shape)];
  });
  return out;
};

/** repeat_interleave by a number: expanded, copied and flattened. */
const repeatInterleaveRule: Rule = (s, args) => {
  const x = tensor(args[0]);
  const times = number(args[1]);
  const d = dimension(args[2], x.shape.length);
  const inserted = [...x.shape.slice(0, d + 1), 1, ...x.shape.slice(d + 1)];
  const wide = inserted.map((n, i) => (i === d + 1 ? times : n));
  const copied = clone(s, expand(s, reshape(s, x, inserted), wide), contiguousStrides(wide));
  return reshape(
    s,
    copied,
    x.shape.map((n, i) => (i === d ? n * times : n)),
  );
};

const channelShuffleRule: Rule = (s, args) => {
  const x = tensor(args[0]);
  const groups = number(args[1]);
  const split = [x.size(0), groups, x.size(1) / groups, ...x.shape.slice(2)];
  return reshape(s, contiguous(s, permute(s, reshape(s, x, split), [0, 2, 1, ...x.shape.slice(2).map((_, i) => i + 3)])), x.shape);
};

const oneHotRule: Rule = (s, args) => {
  const x = tensor(args[0]);
  return s.empty([...x.shape, number(args[1])], 'int64');
};

define({
  cat: (s, args) => {
    const list = tensors(args[0]);
    return cat(s, list, dimension(args[1], Math.max(...list.map((t) => t.shape.length))));
  },
  concat: (s, args) => cat(s, tensors(args[0]), dimension(args[1], tensors(args[0])[0]?.shape.length ?? 1)),
  stack: stackRule,
  index: indexRule,
  index_put: indexPut(false),
  index_put_: indexPut(true),
  gather: gatherRule,
  take_along_dim: (s, args) => gatherRule(s, [args[0] ?? null, args[2] ?? 0, args[1] ?? null], {}),
  index_select: indexSelectRule,
  scatter: scatterRule(false, false),
  scatter_: scatterRule(true, false),
  scatter_add: scatterRule(false, true),
  scatter_add_: scatterRule(true, true),
  index_add: indexAddRule(false),
  index_add_: indexAddRule(true),
  embedding: embeddingRule,
  constant_pad_nd: (s, args) => constantPad(s, tensor(args[0]), numbers(args[1])),
  pad: padRule,
  reflection_pad2d: (s, args) => reflectionPad(s, tensor(args[0]), numbers(args[1])),
  replication_pad2d: (s, args) => reflectionPad(s, tensor(args[0]), numbers(args[1])),
  roll: reordered('roll'),
  flip: reordered('flip'),
  tril: triangleRule(false),
  triu: triangleRule(false),
  tril_: triangleRule(true),
  triu_: triangleRule(true),
  repeat: repeatRule,
  tile: repeatRule,
  repeat_interleave: repeatInterleaveRule,
  channel_shuffle: channelShuffleRule,
  one_hot: oneHotRule,
  nonzero: (s, args) => s.empty([product(tensor(args[0]).shape), tensor(args[0]).shape.length], 'int64'),
});
