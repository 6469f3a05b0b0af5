/**
 * PyTorch's autograd: functions recorded in forward, run in backward by descending sequence number, gradients that meet
 * summed in input buffers, and what is saved freed as soon as its function has run (torch/csrc/autograd/engine.cpp).
 */
import { type ElementType, promote } from './dtype.js';
import { castTo, clone, sumTo } from './ops/core.js';
import type { Frame, Session } from './session.js';
import { contiguousStrides, isDense, sameShape, type Tensor } from './tensor.js';

/** Gradients of the inputs from the gradients of the outputs. `needs[i]`: input i's gradient is asked for. */
export type Backward = (grads: (Tensor | null)[], needs: boolean[]) => (Tensor | null)[];

/** Where a gradient goes: an input of another function, or a parameter (node null). */
export interface Edge {
  node: GradientFunction | null;
  index: number;
  parameter: number;
  shape: readonly number[];
  type: ElementType;
}

export class GradientFunction {
  /** Tensors whose producer this is, and edges of later functions that lead here. */
  references = 0;
  saved: Tensor[] = [];
  /** Kept until the function itself goes, also after its backward. */
  held: Tensor[] = [];
  edges: (Edge | null)[] = [];
  readonly outputs: ({ shape: readonly number[]; type: ElementType } | null)[] = [];
  /** Backward-time state: gradients that have arrived, and how many are still to come. */
  buffer: (Tensor | null)[] = [];
  pending = 0;
  visited = -1;
  /** The checkpointed region that this function belongs to, and how many tensors it would have saved. */
  frame: Frame | null = null;
  savesInFrame = 0;

  constructor(
    readonly name: string,
    readonly sequence: number,
    readonly backward: Backward,
    /** Index of the instruction that recorded it. */
    readonly instruction: number,
  ) {}
}

export function addEdge(node: GradientFunction, t: Tensor | null): void {
  if (!t?.requiresGrad) {
    node.edges.push(null);
    return;
  }
  const target = t.gradientFunction;
  if (target) target.references++;
  node.edges.push({ node: target, index: t.outputIndex, parameter: target ? -1 : t.parameter, shape: t.shape, type: t.type });
}

/** A trainable leaf: its tensor and the gradient that backward leaves in it. */
export interface Leaf {
  tensor: Tensor;
  gradient: Tensor | null;
  /** Backward-time state: the sum of gradients that have arrived, and how many are still to come. */
  arrived?: Tensor | null;
  pending?: number;
}

let visits = 0;

/** loss.backward(): runs the recorded functions and leaves gradients in `leaves`. */
export function runBackward(s: Session, loss: Tensor, leaves: readonly Leaf[]): void {
  const root = loss.gradientFunction;
  if (!root) return;
  if (s.log) s.log.phase = 'backward';
  s.withoutGradients(() => {
    countPending(root, leaves);
    const seed = s.take(s.empty(loss.shape, loss.type, contiguousStrides(loss.shape)));
    root.buffer = [];
    root.buffer[loss.outputIndex] = seed;
    const ready = new ReadyQueue();
    ready.push(root);
    for (let node = ready.pop(); node; node = ready.pop()) runFunction(s, node, leaves, ready);
  });
}

function countPending(root: GradientFunction, leaves: readonly Leaf[]): void {
  const visit = ++visits;
  for (const leaf of leaves) leaf.pending = 0;
  const stack = [root];
  root.pending = 0;
  root.visited = visit;
  while (stack.length) {
    const node = stack.pop() as GradientFunction;
    for (const edge of node.edges) {
      const next = edge?.node;
      if (!next) {
        const leaf = edge && leaves[edge.parameter];
        if (leaf) leaf.pending = (leaf.pending ?? 0) + 1;
        continue;
      }
      if (next.visited !== visit) {
        next.visited = visit;
        next.pending = 0;
        next.buffer = [];
        stack.push(next);
      }
      next.pending++;
    }
  }
}

function runFunction(s: Session, node: GradientFunction, leaves: readonly Leaf[], ready: ReadyQueue): void {
  s.marks?.enter(node.instruction);
  const grads = node.outputs.map((_, i) => node.buffer[i] ?? null);
  node.buffer = [];
  const needs = node.edges.map((edge) => edge !== null);
  let results: (Tensor | null)[] = [];
  const frame = node.frame;
  if (grads.some((g) => g !== null)) {
    if (frame && !frame.recomputed && node.savesInFrame > 0) {
      frame.recomputed = true;
      frame.recompute();
    }
    results = s.scope(() => {
      const run = () => node.backward(grads, needs);
      const raw = s.log ? s.log.operator(node.name, [...grads, ...node.saved], run) : run();
      // What checkpointing recomputed is a local of the formula, and gone before its results are looked at.
      if (frame) s.releaseSaved(node);
      return node.edges.map((edge, i) => (edge && raw[i] ? validate(s, raw, i, edge) : null));
    });
    for (const t of results) s.take(t);
  }
  for (const t of grads) s.release(t);
  s.releaseSaved(node);
  s.leaveFrame(node);
  node.edges.forEach((edge, i) => {
    if (!edge) return;
    const grad = results[i] ?? null;
    if (!edge.node) {
      arrive(s, leaves[edge.parameter] as Leaf, grad);
      return;
    }
    if (grad) addToBuffer(s, edge.node, edge.index, grad);
    if (--edge.node.pending === 0) ready.push(edge.node);
  });
}

/** The engine's check of a gradient against its receiver: broadcast dimensions are summed, the type is cast. */
function validate(s: Session, raw: readonly (Tensor | null)[], index: number, edge: Edge): Tensor {
  let result = raw[index] as Tensor;
  const replace = (made: Tensor): void => {
    const isShared = raw.some((other, i) => i !== index && other === result);
    if (made !== result && !isShared) s.drop(result);
    result = made;
  };
  if (!sameShape(result.shape, edge.shape)) replace(sumTo(s, result, edge.shape));
  if (result.type !== edge.type) replace(castTo(s, result, edge.type));
  return result;
}

function addToBuffer(s: Session, node: GradientFunction, index: number, grad: Tensor): void {
  const present = node.buffer[index];
  node.buffer[index] = present ? sumOf(s, present, grad) : grad;
}

/** The sum of two gradients of one tensor: in place of one that nobody else has, where the session says so. */
function sumOf(s: Session, present: Tensor, grad: Tensor): Tensor {
  if (!s.options.outOfPlaceSums) {
    for (const [kept, spent] of [
      [present, grad],
      [grad, present],
    ] as const) {
      if (kept.references === 1 && kept.storage.references === 1 && isDense(kept) && kept.type === promote(kept.type, spent.type)) {
        s.log?.add('elementwise', 'add_', [kept, spent], [kept]);
        s.release(spent);
        return kept;
      }
    }
  }
  const sum = s.take(
    s.empty(present.shape, promote(present.type, grad.type), isDense(present) ? present.strides : contiguousStrides(present.shape)),
  );
  s.log?.add('elementwise', 'add', [present, grad], [sum]);
  s.release(present);
  s.release(grad);
  return sum;
}

/** A gradient for a weight: a shared weight waits for all of them and adds them up first. */
function arrive(s: Session, leaf: Leaf, grad: Tensor | null): void {
  if (grad) leaf.arrived = leaf.arrived ? sumOf(s, leaf.arrived, grad) : grad;
  leaf.pending = (leaf.pending ?? 1) - 1;
  if (leaf.pending > 0 || !leaf.arrived) return;
  const total = leaf.arrived;
  leaf.arrived = null;
  accumulate(s, leaf, total);
}

/** AccumulateGrad: takes the gradient as it is when nobody else has it and its layout is the weight's, else copies it. */
function accumulate(s: Session, leaf: Leaf, grad: Tensor): void {
  if (leaf.gradient) {
    s.log?.add('elementwise', 'add_', [leaf.gradient, grad], [leaf.gradient]);
    s.release(grad); // added in place
    return;
  }
  const stolen = grad.references === 1 && obeysLayout(grad, leaf.tensor);
  leaf.gradient = stolen ? grad : s.take(s.scope(() => clone(s, grad, leaf.tensor.strides)));
  if (!stolen) s.release(grad);
  const id = leaf.gradient.storage.id;
  if (id >= 0) s.tape.category[id] = 'gradients';
}

function obeysLayout(grad: Tensor, leaf: Tensor): boolean {
  return grad.shape.every((size, i) => size === 1 || grad.strides[i] === leaf.strides[i]);
}

/** Functions that wait to run, the latest recorded first. */
class ReadyQueue {
  private readonly heap: GradientFunction[] = [];

  push(node: GradientFunction): void {
    const heap = this.heap;
    let at = heap.push(node) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((heap[parent] as GradientFunction).sequence >= node.sequence) break;
      heap[at] = heap[parent] as GradientFunction;
      at = parent;
    }
    heap[at] = node;
  }

  pop(): GradientFunction | undefined {
    const heap = this.heap;
    const top = heap[0];
    const last = heap.pop();
    if (!top || !last || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as GradientFunction).sequence > (heap[child] as GradientFunction).sequence) child++;
      if ((heap[child] as GradientFunction).sequence <= last.sequence) break;
      heap[at] = heap[child] as GradientFunction;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}
