/** Element types of tensors, their sizes, and PyTorch's promotion between them. */
import type { DType } from '../model/graph.js';

/** A concrete element type: `model` is resolved before a tensor is made. */
export type ElementType = Exclude<DType, 'model'>;

/** Bytes of one element. */
export const ELEMENT_BYTES: Record<ElementType, number> = {
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint8: 1,
  bool: 1,
  complex64: 8,
};

export function isFloating(type: ElementType): boolean {
  return type === 'float32' || type === 'float16' || type === 'bfloat16' || type === 'float64' || type === 'complex64';
}

const FLOAT_RANK: Partial<Record<ElementType, number>> = { float16: 1, bfloat16: 1, float32: 2, float64: 3, complex64: 4 };
const INTEGER_RANK: Partial<Record<ElementType, number>> = { bool: 0, uint8: 1, int8: 1, int16: 2, int32: 3, int64: 4 };

/** The type of an elementwise result of two tensors with dimensions (torch.result_type). */
export function promote(a: ElementType, b: ElementType): ElementType {
  if (a === b) return a;
  const floatA = FLOAT_RANK[a];
  const floatB = FLOAT_RANK[b];
  if (floatA !== undefined && floatB !== undefined) {
    if (floatA === floatB) return 'float32'; // float16 with bfloat16
    return floatA > floatB ? a : b;
  }
  if (floatA !== undefined) return a;
  if (floatB !== undefined) return b;
  return (INTEGER_RANK[a] ?? 0) >= (INTEGER_RANK[b] ?? 0) ? a : b;
}
