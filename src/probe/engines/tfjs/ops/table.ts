/** Every operator that this engine runs, by its name without the library and without the underscore of in-place ones. */
import type { Operation } from '../call.js';
import { convolution } from './convolution.js';
import { creation } from './creation.js';
import { linearAlgebra } from './linear.js';
import { lookups } from './lookup.js';
import { losses } from './loss.js';
import { normalization } from './normalization.js';
import { pointwise } from './pointwise.js';
import { pooling } from './pooling.js';
import { reductions } from './reduction.js';
import { resampling } from './resampling.js';
import { shapes } from './shape.js';

const OPERATIONS: Record<string, Operation> = {
  ...pointwise,
  ...shapes,
  ...reductions,
  ...creation,
  ...lookups,
  ...linearAlgebra,
  ...convolution,
  ...pooling,
  ...resampling,
  ...normalization,
  ...losses,
};

export interface FoundOperation {
  run: Operation;
  /** The operator overwrites its first argument. */
  inPlace: boolean;
}

/** The operation of "aten.add_.Tensor": its own overload first, then any. Null when there is none. */
export function findOperation(op: string): FoundOperation | null {
  const [library, name, overload] = op.split('.');
  if (!(library === 'aten' || library === 'transformers') || !name) return null;
  const inPlace = name.endsWith('_') && !name.endsWith('__');
  const base = inPlace ? name.slice(0, -1) : name;
  const run = (overload && OPERATIONS[`${base}.${overload}`]) || OPERATIONS[base];
  return run ? { run, inPlace } : null;
}
