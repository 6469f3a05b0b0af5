/**
 * Operators that an export wrote out and PyTorch runs as one: GELU by its error function, and attention by its products
 * around a softmax. Found by the graph's shape alone, where nothing else reads what lies between.
 */
import type { Value } from '../../builder.js';
import { gelu } from '../../ops/elementwise.js';
import { attention } from '../../ops/layers.js';
import { permute } from '../../ops/views.js';
import type { Context } from './context.js';
import type { Node } from './document.js';

/** What stands for the last node of a pattern; the others are taken. */
export type Patterns = Map<Node, () => void>;

export function findPatterns(c: Context): Patterns {
  const found: Patterns = new Map();
  for (const node of c.document.nodes) {
    if (node.op === 'Erf') findGelu(c, node, found);
    if (node.op === 'Softmax' && c.options.attention !== 'math') findAttention(c, node, found);
  }
  return found;
}

/** The other input of a node of two. */
const otherInput = (node: Node, name: string): string => node.inputs.find((each) => each !== name) ?? '';

const follow = (c: Context, node: Node | undefined, ops: string[]): Node | undefined => {
  const next = node && c.onlyUser(node.outputs[0] ?? '');
  return next && ops.includes(next.op) ? next : undefined;
};

/** x / sqrt(2) -> Erf -> + 1 -> * x -> * 0.5, or with x * 0.5 as the factor. */
function findGelu(c: Context, erf: Node, found: Patterns): void {
  const scaled = c.makers.get(erf.inputs[0] ?? '');
  if (!scaled || !['Div', 'Mul'].includes(scaled.op) || c.onlyUser(scaled.outputs[0] ?? '') !== erf) return;
  const x = scaled.inputs.find((name) => !c.isConstant(name)) ?? '';
  const shifted = follow(c, erf, ['Add']);
  const product = follow(c, shifted, ['Mul']);
  if (!shifted || !product) return;
  const factor = otherInput(product, shifted.outputs[0] ?? '');
  const half = factor === x ? follow(c, product, ['Mul']) : undefined;
  const before = c.makers.get(factor);
  const halved = before?.op === 'Mul' && before.inputs.includes(x) && c.onlyUser(factor) === product ? before : undefined;
  const last = half ?? (halved ? product : undefined);
  if (!last) return;
  for (const node of [scaled, erf, shifted, product, halved]) if (node) c.taken.add(node);
  c.taken.delete(last);
  const reader = { ...last, inputs: [x] };
  found.set(last, () => c.setValue(last, gelu(c.g, c.tensor(reader, 0))));
}

/** Node and what it scales: x behind a product or quotient with numbers. */
function unscaled(c: Context, name: string, taken: Node[]): string {
  const maker = c.makers.get(name);
  if (!maker || !['Mul', 'Div'].includes(maker.op) || c.onlyUser(name) === undefined) return name;
  const inner = maker.inputs.find((each) => !c.isConstant(each));
  if (inner === undefined || maker.inputs.every((each) => !c.isConstant(each))) return name;
  taken.push(maker);
  return inner;
}

/** MatMul(q, k turned) -> scale -> + mask -> Softmax -> Dropout -> MatMul(_, v). */
function findAttention(c: Context, softmax: Node, found: Patterns): void {
  if (c.number(softmax, 'axis', -1) !== -1 && c.number(softmax, 'axis', -1) !== 3) return;
  const taken: Node[] = [softmax];
  let name = softmax.inputs[0] ?? '';
  let mask = '';
  const sum = c.makers.get(name);
  if (sum?.op === 'Add' && c.onlyUser(name) === softmax) {
    const scores = sum.inputs.find((each) => reachesProduct(c, each));
    if (scores === undefined) return;
    mask = otherInput(sum, scores);
    taken.push(sum);
    name = scores;
  }
  const scores = unscaled(c, name, taken);
  const product = c.makers.get(scores);
  if (product?.op !== 'MatMul' || c.onlyUser(scores) === undefined) return;
  taken.push(product);
  const dropped = follow(c, softmax, ['Dropout']);
  const last = follow(c, dropped ?? softmax, ['MatMul']);
  if (!last || last.inputs[0] !== (dropped ?? softmax).outputs[0]) return;
  if (dropped) taken.push(dropped);
  const query = unscaled(c, product.inputs[0] ?? '', taken);
  const turned = c.makers.get(unscaled(c, product.inputs[1] ?? '', taken));
  const order = turned?.op === 'Transpose' ? c.list(turned, 'perm')?.join() : undefined;
  if (!turned || (order !== '0,1,3,2' && order !== '0,2,3,1')) return;
  taken.push(turned);
  for (const node of taken) c.taken.add(node);
  const reader: Node = { ...last, inputs: [query, turned.inputs[0] ?? '', last.inputs[1] ?? '', ...(mask ? [mask] : [])] };
  found.set(last, () => {
    const [q, given, v] = [0, 1, 2].map((index) => c.tensor(reader, index)) as [Value, Value, Value];
    const k = order === '0,1,3,2' ? given : permute(c.g, given, [0, 2, 1, 3]);
    const rate = dropped ? Number(c.known(dropped, 1)?.values[0] ?? 0) : 0;
    c.setValue(last, attention(c.g, q, k, v, { mask: mask ? c.tensor(reader, 3) : null, dropout: rate }));
  });
}

function reachesProduct(c: Context, name: string): boolean {
  const maker = c.makers.get(name);
  if (maker?.op === 'MatMul') return true;
  return maker !== undefined && ['Mul', 'Div'].includes(maker.op) && maker.inputs.some((each) => c.makers.get(each)?.op === 'MatMul');
}
