/** Elementwise ATen calls. */
import type { GraphBuilder, Value } from '../builder.js';
import type { DType } from '../graph.js';
import { broadcast } from './shapes.js';

const FLOATS: DType[] = ['float16', 'bfloat16', 'model', 'float32', 'float64'];

/** PyTorch's type promotion between tensors, as far as models need it: floats win over integers, wider floats over narrower. */
export function promote(a: DType, b: DType): DType {
  if (a === b) return a;
  const [left, right] = [FLOATS.indexOf(a), FLOATS.indexOf(b)];
  if (left >= 0 || right >= 0) return left >= right ? a : b;
  return a === 'bool' ? b : a;
}

/** An operator whose output has its input's shape and dtype: `unary(g, 'aten.relu_', x)`. */
export function unary(g: GraphBuilder, op: string, x: Value, args: (number | boolean)[] = [], kwargs?: Record<string, string>): Value {
  return g.call(op, [x, ...args], x, kwargs);
}

/** add, sub, mul, div and their kin, with a tensor or a number on the right. */
export function binary(g: GraphBuilder, op: string, a: Value, b: Value | number): Value {
  if (typeof b === 'number') return g.call(op, [a, b], a);
  return g.call(op, [a, b], { shape: broadcast(a.shape, b.shape), dtype: promote(a.dtype, b.dtype) });
}

export const add = (g: GraphBuilder, a: Value, b: Value | number) => binary(g, 'aten.add.Tensor', a, b);
export const sub = (g: GraphBuilder, a: Value, b: Value | number) => binary(g, 'aten.sub.Tensor', a, b);
export const mul = (g: GraphBuilder, a: Value, b: Value | number) => binary(g, 'aten.mul.Tensor', a, b);
export const div = (g: GraphBuilder, a: Value, b: Value | number) => binary(g, 'aten.div.Tensor', a, b);

/** `a += b`. */
export function addInPlace(g: GraphBuilder, a: Value, b: Value): Value {
  return g.call('aten.add_.Tensor', [a, b], a);
}

/** A comparison: the broadcast shape, bool. */
export function compare(g: GraphBuilder, op: string, a: Value, b: Value | number): Value {
  return g.call(op, [a, b], { shape: typeof b === 'number' ? a.shape : broadcast(a.shape, b.shape), dtype: 'bool' });
}

/** `x.to(dtype)`. Called also where x has that dtype already: it then returns x itself. */
export function toDtype(g: GraphBuilder, x: Value, dtype: DType): Value {
  return g.call('aten.to.dtype', [x, dtype], { shape: x.shape, dtype });
}

/** nn.Dropout in training: called with any p, 0 too. */
export function dropout(g: GraphBuilder, x: Value, p: number): Value {
  return g.call('aten.dropout', [x, p, true], x);
}

/** softmax over `dim`; `dtype` casts first. */
export function softmax(g: GraphBuilder, x: Value, dim: number, dtype?: DType): Value {
  return g.call('aten.softmax.int', dtype ? [x, dim, dtype] : [x, dim], { shape: x.shape, dtype: dtype ?? x.dtype });
}

/** gelu; `approximate: 'tanh'` is the fused tanh form. */
export function gelu(g: GraphBuilder, x: Value, approximate?: 'tanh'): Value {
  return g.call('aten.gelu', [x], x, approximate ? { approximate } : undefined);
}
