/** Operators of mixtures of experts: matrix products over groups of rows, and how many rows each group has. */
import { define, type Rule } from '../registry.js';
import { number, optionalTensor, tensor } from './arguments.js';
import { transpose } from './core.js';

/**
 * [n, k] x [g, k, m] -> [n, m]: each row with the matrix of its group (`offs` are the ends of the groups). Backward
 * (_grouped_mm_mat1_backward, _grouped_mm_mat2_backward) is two more of them; the matrices' gradient has their layout.
 */
const groupedMatrixProduct: Rule = (s, args) => {
  const [rows, matrices] = [tensor(args[0]), tensor(args[1])];
  const out = s.empty([rows.size(0), matrices.size(2)], rows.type);
  s.tape.countKernel('matrix product');
  const saved = [matrices.requiresGrad ? rows : null, rows.requiresGrad ? matrices : null, optionalTensor(args[2])];
  s.record('grouped_mm', [rows, matrices], [out], saved, ([grad], needs) => {
    if (!grad) return [null, null];
    const [groups, inner, outer] = matrices.shape as [number, number, number];
    const turned = matrices.strides[1] === 1;
    return [
      needs[0] ? s.empty(rows.shape, rows.type) : null,
      needs[1] ? (turned ? transpose(s, s.empty([groups, outer, inner], grad.type), 1, 2) : s.empty(matrices.shape, grad.type)) : null,
    ];
  });
  return out;
};

define({
  _grouped_mm: groupedMatrixProduct,
  histc: (s, args) => s.empty([number(args[1], 100)], tensor(args[0]).type),
});
