/** Matrix products: mm, bmm, addmm and the composites (linear, matmul, einsum) that PyTorch makes of them. */
import { define, type Rule, type Value } from '../registry.js';
import type { Session } from '../session.js';
import { broadcastShapes, isContiguous, product, type Tensor } from '../tensor.js';
import { number, optionalTensor, tensor, tensors } from './arguments.js';
import { elementwise, expand, permute, reshape, secondFirst, sumTo, transpose } from './core.js';
import { squeeze, unsqueeze } from './views.js';

/** Gradient of the first factor: column-major where that factor is (mm_mat1_backward). */
function firstGradient(s: Session, grad: Tensor, second: Tensor, shape: readonly number[], strides: readonly number[]): Tensor {
  if (strides[0] === 1 && strides[1] === shape[0]) return transpose(s, mm(s, second, transpose(s, grad, 0, 1)), 0, 1);
  return mm(s, grad, transpose(s, second, 0, 1));
}

function secondGradient(s: Session, grad: Tensor, first: Tensor, shape: readonly number[], strides: readonly number[]): Tensor {
  if (strides[0] === 1 && strides[1] === shape[0]) return transpose(s, mm(s, transpose(s, grad, 0, 1), first), 0, 1);
  return mm(s, transpose(s, first, 0, 1), grad);
}

/** [n, k] x [k, m] -> [n, m]. */
export function mm(s: Session, a: Tensor, b: Tensor): Tensor {
  const out = s.costly(() => s.empty([a.size(0), b.size(1)], a.type));
  s.tape.countKernel('matrix product');
  if (!s.reused) s.log?.product('mm', a, b, out);
  s.record('mm', [a, b], [out], [b.requiresGrad ? a : null, a.requiresGrad ? b : null], ([grad], needs) => {
    if (!grad) return [null, null];
    return secondFirst(
      needs,
      () => firstGradient(s, grad, b, a.shape, a.strides),
      () => secondGradient(s, grad, a, b.shape, b.strides),
    );
  });
  return out;
}

/** bias + a b, with the bias broadcast. */
export function addmm(s: Session, bias: Tensor, a: Tensor, b: Tensor): Tensor {
  const out = s.costly(() => s.empty([a.size(0), b.size(1)], a.type));
  s.tape.countKernel('matrix product');
  if (!s.reused) s.log?.product('addmm', a, b, out, bias);
  s.record('addmm', [bias, a, b], [out], [b.requiresGrad ? a : null, a.requiresGrad ? b : null], ([grad], needs) => {
    if (!grad) return [null, null, null];
    return [
      needs[0] ? grad : null,
      needs[1] ? firstGradient(s, grad, b, a.shape, a.strides) : null,
      needs[2] ? secondGradient(s, grad, a, b.shape, b.strides) : null,
    ];
  });
  return out;
}

/** [g, n, k] x [g, k, m] -> [g, n, m]. */
export function bmm(s: Session, a: Tensor, b: Tensor): Tensor {
  const out = s.costly(() => s.empty([a.size(0), a.size(1), b.size(2)], a.type));
  s.tape.countKernel('matrix product');
  if (!s.reused) s.log?.product('bmm', a, b, out);
  s.record('bmm', [a, b], [out], [b.requiresGrad ? a : null, a.requiresGrad ? b : null], ([grad], needs) => {
    if (!grad) return [null, null];
    return secondFirst(
      needs,
      () => bmm(s, grad, transpose(s, b, 1, 2)),
      () => bmm(s, transpose(s, a, 1, 2), grad),
    );
  });
  return out;
}

function baddbmm(s: Session, base: Tensor, a: Tensor, b: Tensor, alpha: number, beta: number): Tensor {
  const out = s.costly(() => s.empty([a.size(0), a.size(1), b.size(2)], a.type));
  s.tape.countKernel('matrix product');
  if (!s.reused) s.log?.product('baddbmm', a, b, out, base);
  const scaled = (t: Tensor, factor: number): Tensor => (factor === 1 ? t : elementwise(s, [t]));
  s.record('baddbmm', [base, a, b], [out], [b.requiresGrad ? a : null, a.requiresGrad ? b : null], ([grad], needs) => {
    if (!grad) return [null, null, null];
    return [
      needs[0] ? scaled(grad, beta) : null,
      needs[1] ? scaled(bmm(s, grad, transpose(s, b, 1, 2)), alpha) : null,
      needs[2] ? scaled(bmm(s, transpose(s, a, 1, 2), grad), alpha) : null,
    ];
  });
  return out;
}

/** Whether a batched factor is multiplied as one large matrix (should_fold in LinearAlgebra.cpp). */
function shouldFold(a: Tensor, b: Tensor): boolean {
  const [large, small] = a.shape.length >= b.shape.length ? [a, b] : [b, a];
  if (!(large.shape.length >= 3 && small.shape.length <= 2)) return false;
  if (small.requiresGrad && small.shape.length === 2) return true;
  if (a.shape.length === 2) return false;
  if (large.elements === 0) return true;
  // Foldable without a copy: the leading dimensions collapse.
  for (let i = 0; i < large.shape.length - 2; i++)
    if (large.strides[i] !== (large.strides[i + 1] as number) * (large.shape[i + 1] as number)) return false;
  return true;
}

/** torch.matmul (`_matmul_impl`); what it returns is no view to autograd (`_unsafe_view`). */
export function matmul(s: Session, a: Tensor, b: Tensor): Tensor {
  const out = multiply(s, a, b);
  out.base = null;
  return out;
}

function multiply(s: Session, a: Tensor, b: Tensor): Tensor {
  const [n, m] = [a.shape.length, b.shape.length];
  if (n === 2 && m === 2) return mm(s, a, b);
  if (n === 2 && m === 1) return squeeze(s, mm(s, a, unsqueeze(s, b, 1)), [1]);
  if (n === 1 && m === 2) return squeeze(s, mm(s, unsqueeze(s, a, 0), b), [0]);
  if (n === 1 && m === 1) return squeeze(s, squeeze(s, mm(s, unsqueeze(s, a, 0), unsqueeze(s, b, 1)), [0]), [0]);
  if (shouldFold(a, b)) return folded(s, a, b);
  const rows = n > 1 ? a.size(-2) : 1;
  const columns = m > 1 ? b.size(-1) : 1;
  const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const expandA = n > 1 ? [...batch, rows, a.size(-1)] : [...batch, 1, a.size(-1)];
  const expandB = [...batch, m > 1 ? b.size(-2) : b.size(-1), columns];
  const groups = product(batch);
  const left = reshape(s, expand(s, n === 1 ? unsqueeze(s, a, 0) : a, expandA), [groups, ...expandA.slice(-2)]);
  const right = reshape(s, expand(s, m === 1 ? unsqueeze(s, b, 1) : b, expandB), [groups, ...expandB.slice(-2)]);
  const shape = [...batch, ...(n > 1 ? [rows] : []), ...(m > 1 ? [columns] : [])];
  return reshape(s, bmm(s, left, right), shape);
}

/** The batched factor as a matrix against the other one; where the second is batched, everything is transposed. */
function folded(s: Session, a: Tensor, b: Tensor): Tensor {
  const transposed = b.shape.length > a.shape.length;
  const large = transposed ? transpose(s, b, -2, -1) : a;
  const small = transposed ? (a.shape.length === 2 ? transpose(s, a, 0, 1) : a) : b;
  const matrix = reshape(s, large, [product(large.shape.slice(0, -1)), large.size(-1)]);
  const leading = large.shape.slice(0, -1);
  if (small.shape.length === 1) return reshape(s, squeeze(s, mm(s, matrix, unsqueeze(s, small, 1)), [1]), leading);
  const out = reshape(s, mm(s, matrix, small), [...leading, small.size(1)]);
  return transposed ? transpose(s, out, -2, -1) : out;
}

/** aten::linear: addmm on a matrix and on a row-major input, flattened; else matmul and a separate sum. */
export function linear(s: Session, input: Tensor, weight: Tensor, bias: Tensor | null): Tensor {
  const rank = input.shape.length;
  if (rank === 2 && bias) return addmm(s, bias, input, transpose(s, weight, 0, 1));
  if (bias && rank >= 3 && isContiguous(input)) {
    const flat = reshape(s, input, [product(input.shape.slice(0, -1)), input.size(-1)]);
    return reshape(s, addmm(s, bias, flat, transpose(s, weight, 0, 1)), [...input.shape.slice(0, -1), weight.size(0)]);
  }
  const product2 = matmul(s, input, transpose(s, weight, 0, 1));
  if (!bias) return product2;
  const out = s.options.outOfPlaceSums ? elementwise(s, [product2, bias]) : product2;
  if (out === product2) s.log?.add('elementwise', 'add_', [product2, bias], [out]);
  s.record('add', [product2, bias], [out], [], ([grad]) => [grad ?? null, grad ?? null]);
  return out;
}

/** torch.einsum: operands permuted to batch, rows, columns and multiplied by bmm, pair by pair from the left. */
function einsum(s: Session, equation: string, operands: Tensor[]): Tensor {
  const [left, right] = equation.replace(/\s/g, '').split('->') as [string, string | undefined];
  const labels = left.split(',').map((l) => [...l]);
  const target =
    right === undefined ? [...new Set(labels.flat())].filter((l) => labels.flat().filter((x) => x === l).length === 1).sort() : [...right];
  let current = operands[0] as Tensor;
  let currentLabels = labels[0] as string[];
  for (let i = 1; i < operands.length; i++) {
    const later = new Set([...target, ...labels.slice(i + 1).flat()]);
    [current, currentLabels] = contractPair(s, current, currentLabels, operands[i] as Tensor, labels[i] as string[], later);
  }
  if (operands.length === 1) {
    const summed = currentLabels.filter((l) => !target.includes(l));
    if (summed.length > 0) {
      const kept = currentLabels.map((l, i) => (summed.includes(l) ? 1 : (current.shape[i] as number)));
      current = squeeze(
        s,
        sumTo(s, current, kept),
        currentLabels.flatMap((l, i) => (summed.includes(l) ? [i] : [])),
      );
      currentLabels = currentLabels.filter((l) => target.includes(l));
    }
  }
  const order = target.map((l) => currentLabels.indexOf(l));
  return order.every((d, i) => d === i) ? current : permute(s, current, order);
}

function contractPair(s: Session, a: Tensor, la: string[], b: Tensor, lb: string[], later: Set<string>): [Tensor, string[]] {
  const size = new Map<string, number>();
  for (const [i, l] of la.entries()) size.set(l, a.shape[i] as number);
  for (const [i, l] of lb.entries()) size.set(l, Math.max(size.get(l) ?? 1, b.shape[i] as number));
  const shared = la.filter((l) => lb.includes(l));
  const batch = shared.filter((l) => later.has(l));
  const summed = shared.filter((l) => !later.has(l));
  const onlyA = la.filter((l) => !lb.includes(l));
  const onlyB = lb.filter((l) => !la.includes(l));
  const count = (ls: string[]): number => product(ls.map((l) => size.get(l) as number));
  const at = (labels: string[], ls: string[]): number[] => ls.map((l) => labels.indexOf(l));
  const left = reshape(s, permute(s, a, at(la, [...batch, ...onlyA, ...summed])), [count(batch), count(onlyA), count(summed)]);
  const right = reshape(s, permute(s, b, at(lb, [...batch, ...summed, ...onlyB])), [count(batch), count(summed), count(onlyB)]);
  const labels = [...batch, ...onlyA, ...onlyB];
  return [
    reshape(
      s,
      bmm(s, left, right),
      labels.map((l) => size.get(l) as number),
    ),
    labels,
  ];
}

const linearRule: Rule = (s, args) => linear(s, tensor(args[0]), tensor(args[1]), optionalTensor(args[2]));
const named = (value: Value | undefined, fallback: number): number => number(value, fallback);

define({
  mm: (s, args) => mm(s, tensor(args[0]), tensor(args[1])),
  bmm: (s, args) => bmm(s, tensor(args[0]), tensor(args[1])),
  addmm: (s, args) => addmm(s, tensor(args[0]), tensor(args[1]), tensor(args[2])),
  baddbmm: (s, args, kw) => baddbmm(s, tensor(args[0]), tensor(args[1]), tensor(args[2]), named(kw.alpha, 1), named(kw.beta, 1)),
  matmul: (s, args) => matmul(s, tensor(args[0]), tensor(args[1])),
  linear: linearRule,
  einsum: (s, args) => einsum(s, String(args[0]), tensors(args[1])),
});
