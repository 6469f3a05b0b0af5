/** The trace room: run a graph's training step on tensors without values. Importing this registers every rule. */
import './ops/elementwise.js';
import './ops/views.js';
import './ops/matmul.js';
import './ops/convolution.js';
import './ops/normalization.js';
import './ops/reduction.js';
import './ops/pooling.js';
import './ops/indexing.js';
import './ops/factories.js';
import './ops/attention.js';
import './ops/loss.js';
import './ops/experts.js';
import './ops/pooling-3d.js';
import './ops/recurrent.js';
import './ops/special.js';
import './ops/distances.js';

export { type Leaf, runBackward } from './autograd.js';
export { ELEMENT_BYTES, type ElementType } from './dtype.js';
export { runForward, type Values } from './forward.js';
export { type Kernel, type KernelKind, KernelLog, type KernelPhase, type MatrixProduct } from './kernels.js';
export { type Program, programOf } from './program.js';
export { clearCastCache, knownOperators } from './registry.js';
export { Session, type SessionOptions } from './session.js';
export { type Events, type StepTrace, symbolsFor, type TraceOptions, traceStep } from './step.js';
export { generationOf, StepTraces } from './step-traces.js';
export { CATEGORIES, type Category, Tape } from './tape.js';
export { Tensor } from './tensor.js';
