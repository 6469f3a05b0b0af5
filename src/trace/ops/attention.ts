/** scaled_dot_product_attention: which kernel runs, and what it keeps (ATen/native/transformers). */
import { callOne, define, type Rule } from '../registry.js';
import type { Session } from '../session.js';
import type { Tensor } from '../tensor.js';
import { flag, number, optionalTensor, tensor } from './arguments.js';
import { castTo, elementwise, expand, transpose } from './core.js';
import { constantPad } from './indexing.js';
import { matmul } from './matmul.js';
import { slice } from './views.js';

export type AttentionKernel = 'flash' | 'efficient' | 'math';

/** Rounds up to a multiple. */
const upTo = (n: number, multiple: number): number => Math.ceil(n / multiple) * multiple;

/** The kernel that PyTorch picks, in its order of preference; the setup can ask for another. */
export function chooseKernel(s: Session, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | null): AttentionKernel {
  const { attention, capability } = s.options;
  const half = q.type === 'float16' || q.type === 'bfloat16';
  const batched = q.shape.length === 4 && k.shape.length === 4 && v.shape.length === 4;
  // Both want rows of adjacent features (check_last_dim_stride_equals_1_dense in sdp_utils_cpp.h).
  const adjacent = [q, k, v].every((t) => t.strides.at(-1) === 1);
  const rows = adjacent || q.size(-1) === 1;
  const flash =
    rows && batched && half && capability >= 80 && !mask && q.size(-1) <= 256 && q.size(-1) === k.size(-1) && k.size(-1) === v.size(-1);
  const alignment = half ? 8 : 4;
  const aligned = q.size(-1) % alignment === 0 && v.size(-1) % alignment === 0;
  const strided = adjacent && (!mask || mask.strides.at(-1) === 1);
  const efficient =
    strided && batched && capability >= 50 && aligned && (q.type === 'float32' || half) && (q.type !== 'bfloat16' || capability >= 80);
  if (attention === 'math') return 'math';
  if (attention === 'efficient') return efficient ? 'efficient' : 'math';
  if (flash) return 'flash';
  return efficient ? 'efficient' : 'math';
}

/** A dense [batch, heads, rows, dim] tensor that lies in memory as [batch, rows, heads, dim]. */
function headsInside(s: Session, shape: readonly number[], type: Tensor['type']): Tensor {
  const [b, h, n, d] = shape as [number, number, number, number];
  return s.empty([b, h, n, d], type, [n * h * d, d, h * d, 1]);
}

/** Scores and the weighted sum; backward makes the scores again and three more gradients of products. */
const FORWARD_PRODUCTS = 2;
const BACKWARD_PRODUCTS = 5;

function logAttention(
  s: Session,
  name: string,
  read: (Tensor | null)[],
  written: Tensor[],
  [q, k, v]: [Tensor, Tensor, Tensor],
  products: number,
  causal: boolean,
): void {
  if (!s.log) return;
  const groups = q.size(0) * q.size(1);
  const product = { groups, rows: q.size(2), columns: k.size(2), inner: q.size(3) };
  // Products over the scores: as many as there are take v's width in place of q's.
  const width = ((products - Math.floor(products / 2)) * q.size(3) + Math.floor(products / 2) * v.size(3)) / products;
  const flops = 2 * products * groups * q.size(2) * k.size(2) * width;
  s.log.add('attention', name, read, written, { flops, product, causal });
}

function flashAttention(s: Session, q: Tensor, k: Tensor, v: Tensor, dropout: number, causal: boolean): Tensor {
  const width = q.size(-1);
  const pad = (t: Tensor): Tensor => (width % 8 === 0 ? t : constantPad(s, t, [0, upTo(width, 8) - width]));
  const [qp, kp, vp] = [pad(q), pad(k), pad(v)] as [Tensor, Tensor, Tensor];
  // empty_like(q): the order of q's dimensions, made dense where q is a part of a packed projection.
  const out = s.costly(() => s.emptyLike(qp));
  const logsumexp = s.costly(() => s.empty(q.shape.slice(0, 3), 'float32'));
  const state = s.costly(() => s.empty([2], 'int64'));
  const unused = s.costly(() => s.empty([], 'int64'));
  s.tape.countKernel('_scaled_dot_product_flash_attention');
  if (!s.reused) logAttention(s, 'flash_attention', [qp, kp, vp], [out, logsumexp], [q, k, v], FORWARD_PRODUCTS, causal);
  s.record('flash_attention', [qp, kp, vp], [out], [qp, kp, vp, out, logsumexp, state, unused], ([grad]) => {
    if (!grad || dropout < 0) return [null, null, null];
    const grads = [s.emptyLike(qp), s.emptyLike(kp), s.emptyLike(vp)];
    logAttention(s, 'flash_attention', [grad, qp, kp, vp, out, logsumexp], grads, [q, k, v], BACKWARD_PRODUCTS, causal);
    return grads;
  });
  return width % 8 === 0 ? out : slice(s, out, 3, 0, width);
}

function efficientAttention(s: Session, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | null, causal: boolean): Tensor {
  const [b, h, n] = q.shape as [number, number, number, number];
  const m = k.size(2);
  let bias: Tensor | null = null;
  if (mask) {
    // The bias is aligned to 16 columns (padded, then cut back to a view) and seen in full size.
    const padded = mask.size(-1) % 16 === 0 ? mask : slice(s, constantPad(s, mask, [0, upTo(m, 16) - m]), mask.shape.length - 1, 0, m);
    bias = expand(s, padded, [b, h, n, m]);
  }
  const out = s.costly(() => headsInside(s, [b, h, n, v.size(3)], q.type));
  const recorded = s.records([q, k, v]);
  const logsumexp = s.costly(() => s.empty([b, h, recorded ? upTo(n, 32) : 0], 'float32'));
  const seed = s.costly(() => s.empty([], 'int64'));
  const offset = s.costly(() => s.empty([], 'int64'));
  s.tape.countKernel('_scaled_dot_product_efficient_attention');
  if (!s.reused) logAttention(s, 'efficient_attention', [q, k, v, bias], [out, logsumexp], [q, k, v], FORWARD_PRODUCTS, causal);
  s.record('efficient_attention', [q, k, v, bias], [out], [q, k, v, bias, out, logsumexp, seed, offset], ([grad], needs) => {
    if (!grad) return [null, null, null, null];
    const grads = [headsInside(s, q.shape, q.type), headsInside(s, k.shape, k.type), headsInside(s, v.shape, v.type)];
    logAttention(s, 'efficient_attention', [grad, q, k, v, bias, out, logsumexp], grads, [q, k, v], BACKWARD_PRODUCTS, causal);
    if (!needs[3]) return [...grads, null];
    const full = s.empty([b, h, n, upTo(m, 16)], q.type);
    return [...grads, m % 16 === 0 ? full : slice(s, full, 3, 0, m)];
  });
  return out;
}

/** The math path: both factors scaled, products and softmax written out. */
function mathAttention(s: Session, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | null, causal: boolean, dropout: number): Tensor {
  const type = q.type;
  const wide = (t: Tensor): Tensor => (type === 'float16' || type === 'bfloat16' ? castTo(s, t, 'float32') : t);
  const [qs, ks, vs] = [wide(q), wide(k), wide(v)] as [Tensor, Tensor, Tensor];
  let bias = mask;
  if (causal) bias = elementwise(s, [s.empty([q.size(-2), k.size(-2)], 'bool')], qs.type);
  const scaledQ = callOne(s, 'mul', [qs, 0.5]);
  const scaledK = callOne(s, 'mul', [transpose(s, ks, -2, -1), 0.5]);
  let scores = matmul(s, scaledQ, scaledK);
  if (bias) scores = callOne(s, s.options.outOfPlaceSums ? 'add' : 'add_', [scores, bias]);
  let weights = callOne(s, '_safe_softmax', [scores, -1]);
  if (dropout > 0) weights = callOne(s, 'dropout', [weights, dropout, true]);
  return castTo(s, matmul(s, weights, vs), type);
}

const attentionRule: Rule = (s, args, named) => {
  const q = tensor(args[0]);
  let k = tensor(args[1]);
  let v = tensor(args[2]);
  let mask = optionalTensor(args[3]);
  const dropout = number(args[4], 0);
  const causal = flag(args[5]);
  const kernel = chooseKernel(s, q, k, v, mask);
  if (flag(named.enable_gqa) && kernel === 'math') {
    const times = q.size(-3) / k.size(-3);
    k = callOne(s, 'repeat_interleave', [k, times, -3]);
    v = callOne(s, 'repeat_interleave', [v, times, -3]);
  }
  if (mask?.type === 'bool') mask = elementwise(s, [mask], q.type);
  if (kernel === 'flash') return flashAttention(s, q, k, v, dropout, causal);
  if (kernel === 'efficient') return efficientAttention(s, q, k, v, mask, causal);
  return mathAttention(s, q, k, v, mask, causal, dropout);
};

define({ scaled_dot_product_attention: attentionRule });
