/**
 * One run of a program on tensors without values. A session owns the tape, knows whether gradients are recorded and
 * whether autocast is on, and frees temporaries when the operator that made them returns, as C++ locals would be.
 */
import type { Attention } from '../setup.js';
import { addEdge, type Backward, GradientFunction } from './autograd.js';
import { ELEMENT_BYTES, type ElementType, isFloating } from './dtype.js';
import type { KernelLog } from './kernels.js';
import type { LayerMarks } from './layer-marks.js';
import type { Release } from './release.js';
import { type Category, Tape } from './tape.js';
import { contiguousStrides, likeStrides, product, Storage, Tensor } from './tensor.js';

export interface SessionOptions {
  /** What `model` stands for. */
  modelType: ElementType;
  autocast: ElementType | null;
  attention: Attention;
  /** Compute capability of the device times ten (86 for 8.6), 0 where it is not a CUDA device. */
  capability: number;
  /**
   * Gradients that meet are added into a new tensor, as they are when PyTorch traces; on a device the sum is made in
   * place wherever the first one has no other owner.
   */
  outOfPlaceSums: boolean;
  /** PyTorch that runs. Default: the newest. */
  release?: Release | null;
  /** Checkpointed regions keep the results of products, convolutions and fused attention. */
  selective?: boolean;
}

/** A checkpointed region between its forward and its backward. */
export interface Frame {
  /** Tensors that forward would have saved, and the functions that would have saved them, in order. */
  saves: number;
  functions: GradientFunction[];
  /** Functions that have not run yet. */
  open: number;
  recomputed: boolean;
  /** Results that selective checkpointing keeps for the recomputation, in order; null once they are used. */
  kept: (Tensor | null)[];
  recompute: () => void;
  /** Drops the region's inputs. */
  release: () => void;
}

/** Thrown through a recomputation once it has made the last tensor that is needed. */
export class StopRecomputation extends Error {}

export class Session {
  /** The region that forward is in. */
  frame: Frame | null = null;
  /** The region that backward is running again, and how far it is. */
  recomputing: { frame: Frame; next: number; saved: number; reused: number } | null = null;
  /** The result that `costly` gave last was kept from forward: nothing was computed. */
  reused = false;
  readonly tape = new Tape();
  /** Records kernels where the caller wants them. */
  log: KernelLog | null = null;
  /** Notes which repeated layer runs, where a trace will be laid out for more of them. */
  marks: LayerMarks | null = null;
  gradientsEnabled = true;
  /** Set while an operator that autocast has already handled runs. */
  autocastSuspended = 0;
  /** Low-precision copies of weights, by the weight; autocast keeps them until its outermost context ends. */
  castCache = new Map<Tensor, Tensor>();
  sequence = 0;
  /** Handles made since the enclosing scopes began. */
  private readonly pool: Tensor[] = [];
  newCategory: Category = 'temporaries';

  constructor(readonly options: SessionOptions) {}

  get autocastType(): ElementType | null {
    return this.autocastSuspended ? null : this.options.autocast;
  }

  /** A new storage of a dense tensor; `strides` default to row-major. The handle belongs to the current scope. */
  empty(shape: readonly number[], type: ElementType, strides: readonly number[] = contiguousStrides(shape)): Tensor {
    return this.emptyBytes(shape, type, strides, product(shape) * ELEMENT_BYTES[type]);
  }

  /** As `empty`, where the storage is larger than the shape says (a transposed or padded layout). */
  emptyBytes(shape: readonly number[], type: ElementType, strides: readonly number[], bytes: number): Tensor {
    const id = bytes > 0 ? this.tape.allocate(bytes, this.newCategory) : -1;
    return this.adopt(new Tensor(new Storage(id, bytes), shape, strides, type));
  }

  /** What a library asks for inside a call, for as long as the operator runs. */
  scratch(bytes: number): void {
    const { id } = this.emptyBytes([bytes], 'uint8', [1], bytes).storage;
    if (id >= 0) this.tape.category[id] = 'workspaces';
  }

  emptyLike(t: Tensor, type: ElementType = t.type): Tensor {
    return this.empty(t.shape, type, likeStrides(t));
  }

  /**
   * A result that is dear to compute. Selective checkpointing (torch.utils.checkpoint's
   * create_selective_checkpoint_contexts) keeps it in forward and hands it out when the region runs again.
   */
  costly(make: () => Tensor): Tensor {
    this.reused = false;
    if (!this.options.selective) return make();
    const state = this.recomputing;
    if (state) {
      const at = state.reused++;
      const kept = state.frame.kept[at] as Tensor;
      const result = this.adopt(new Tensor(kept.storage, kept.shape, kept.strides, kept.type));
      state.frame.kept[at] = null;
      this.release(kept);
      this.reused = true;
      return result;
    }
    const made = make();
    if (!this.frame) return made;
    this.frame.kept.push(this.take(this.alias(made)));
    const { id } = made.storage;
    if (id >= 0) this.tape.category[id] = 'activations';
    return made;
  }

  /** A tensor on the host: it takes no device memory. */
  host(shape: readonly number[], type: ElementType): Tensor {
    return this.adopt(new Tensor(new Storage(-1, 0), shape, contiguousStrides(shape), type));
  }

  /** A view: the same storage under another shape, strides or (for a detached alias) history. */
  alias(t: Tensor, shape: readonly number[] = t.shape, strides: readonly number[] = t.strides, type: ElementType = t.type): Tensor {
    const view = new Tensor(t.storage, shape, strides, type);
    view.isView = true;
    return this.adopt(view);
  }

  private adopt(t: Tensor): Tensor {
    this.pool.push(t);
    return t;
  }

  retain<T extends Tensor | null>(t: T): T {
    if (t) t.references++;
    return t;
  }

  release(t: Tensor | null): void {
    if (!t || --t.references > 0) return;
    const storage = t.storage;
    if (--storage.references === 0 && storage.id >= 0 && !storage.freed) {
      storage.freed = true;
      this.tape.free(storage.id);
    }
    if (t.gradientFunction) this.releaseFunction(t.gradientFunction);
  }

  /** Drops a temporary before its scope ends, as a C++ local that is overwritten. */
  drop(t: Tensor): void {
    const at = this.pool.lastIndexOf(t);
    if (at < 0) return;
    this.pool.splice(at, 1);
    this.release(t);
  }

  /** Releases every handle of scopes that an exception left. */
  private unwind(start: number): void {
    for (const t of this.pool.splice(start)) this.release(t);
  }

  /**
   * Runs `body` and releases every handle made in it but the returned tensors, which then belong to the caller's scope.
   * A tensor that was not made inside is returned with a handle of its own.
   */
  scope<T extends Tensor | null | (Tensor | null)[]>(body: () => T): T {
    const start = this.pool.length;
    let result: T;
    try {
      result = body();
    } catch (error) {
      this.unwind(start);
      throw error;
    }
    const results: readonly (Tensor | null)[] = Array.isArray(result) ? result : [result];
    for (let i = 0; i < results.length; i++) if (results[i]) (results[i] as Tensor).references++;
    const made = this.pool.splice(start);
    for (let i = 0; i < made.length; i++) this.release(made[i] as Tensor);
    for (let i = 0; i < results.length; i++) if (results[i]) this.pool.push(results[i] as Tensor);
    return result;
  }

  /** Takes a handle out of the scope's care: the caller releases it. */
  take<T extends Tensor | null>(t: T): T {
    if (!t) return t;
    const at = this.pool.lastIndexOf(t);
    if (at >= 0) this.pool.splice(at, 1);
    else t.references++;
    return t;
  }

  /** Whether an operator on these inputs is recorded for backward. */
  records(inputs: readonly (Tensor | null)[]): boolean {
    if (!this.gradientsEnabled) return false;
    for (const t of inputs) if (t?.requiresGrad) return true;
    return false;
  }

  /**
   * Records an operator: `outputs` get a gradient function that keeps `saved` until its backward has run.
   * `backward(grads, needs)` returns a gradient for each input (null for none); needs[i] tells whether it is asked for.
   */
  record(
    name: string,
    inputs: readonly (Tensor | null)[],
    outputs: readonly (Tensor | null)[],
    saved: readonly (Tensor | null)[],
    backward: Backward,
  ): void {
    if (!this.records(inputs)) return;
    const node = new GradientFunction(name, this.sequence++, backward, this.tape.instruction);
    for (const t of inputs) addEdge(node, t);
    // A recomputation's own graph is thrown away: what it saves goes to the function that waits for it.
    if (this.frame) this.enterFrame(this.frame, node, saved);
    else if (!this.recomputing) for (const t of saved) if (t) this.keep(node, t);
    outputs.forEach((t, index) => {
      node.outputs.push(t ? { shape: t.shape, type: t.type } : null);
      if (!t || !isFloating(t.type)) return;
      this.setHistory(t, node, index);
    });
    if (this.recomputing) this.continueRecomputation(this.recomputing, saved, outputs);
  }

  private keep(node: GradientFunction, t: Tensor): void {
    t.references++;
    node.saved.push(t);
    const id = t.storage.id;
    if (id >= 0 && this.tape.category[id] === 'temporaries') this.tape.category[id] = 'activations';
  }

  /** `t.requires_grad_()` on a result without history: a leaf, whose gradient the graph keeps as long as it lives. */
  makeLeaf(t: Tensor): void {
    if (t.requiresGrad || !this.gradientsEnabled) return;
    const node: GradientFunction = new GradientFunction(
      'AccumulateGrad',
      this.sequence++,
      ([grad]) => {
        if (grad) node.held.push(this.retain(grad));
        return [];
      },
      this.tape.instruction,
    );
    node.outputs.push({ shape: t.shape, type: t.type });
    node.held.push(this.take(this.alias(t)));
    this.setHistory(t, node, 0);
  }

  /** In a checkpointed region nothing is saved; the function remembers that it will ask for it. */
  private enterFrame(frame: Frame, node: GradientFunction, saved: readonly (Tensor | null)[]): void {
    const count = saved.filter((t) => t !== null).length;
    node.frame = frame;
    node.savesInFrame = count;
    frame.saves += count;
    frame.open++;
    frame.functions.push(node);
  }

  /** Hands what a recomputed operator saves to the function that waits for it; stops after the last one. */
  private continueRecomputation(
    state: NonNullable<Session['recomputing']>,
    saved: readonly (Tensor | null)[],
    outputs: readonly (Tensor | null)[],
  ): void {
    const waiting = state.frame.functions[state.next++];
    for (const t of saved) {
      if (!t) continue;
      state.saved++;
      if (waiting) this.keep(waiting, t);
    }
    if (state.saved < state.frame.saves) return;
    // Inputs are saved before the operator runs: where its result is not needed, it is never made.
    if (!outputs.some((t) => saved.includes(t))) for (const t of outputs) if (t && t.references === 1) this.tape.cancel(t.storage.id);
    throw new StopRecomputation();
  }

  swapCastCache(cache: Map<Tensor, Tensor>): Map<Tensor, Tensor> {
    const before = this.castCache;
    this.castCache = cache;
    return before;
  }

  /** Makes `node` the producer of `t`, also where an in-place operator replaces an earlier producer. */
  setHistory(t: Tensor, node: GradientFunction, index: number): void {
    node.references++;
    const previous = t.gradientFunction;
    t.gradientFunction = node;
    t.outputIndex = index;
    t.requiresGrad = true;
    if (previous) this.releaseFunction(previous);
  }

  releaseSaved(node: GradientFunction): void {
    const saved = node.saved;
    node.saved = [];
    for (const t of saved) this.release(t);
  }

  releaseFunction(node: GradientFunction): void {
    // Iterative: a graph can be thousands of functions deep.
    const stack = [node];
    while (stack.length) {
      const current = stack.pop() as GradientFunction;
      if (--current.references > 0) continue;
      this.releaseSaved(current);
      for (const t of current.held.splice(0)) this.release(t);
      this.leaveFrame(current);
      for (const edge of current.edges) if (edge?.node) stack.push(edge.node);
      current.edges = [];
    }
  }

  /** A function of a checkpointed region is done (or was never needed): the last one lets the region's inputs go. */
  leaveFrame(node: GradientFunction): void {
    const frame = node.frame;
    node.frame = null;
    if (frame && --frame.open === 0 && this.frame !== frame) frame.release();
  }

  /** Runs `body` without recording. */
  withoutGradients<T>(body: () => T): T {
    const before = this.gradientsEnabled;
    this.gradientsEnabled = false;
    try {
      return body();
    } finally {
      this.gradientsEnabled = before;
    }
  }

  /** Runs `body` with autocast off, as inside an operator that autocast has already cast for. */
  withoutAutocast<T>(body: () => T): T {
    this.autocastSuspended++;
    try {
      return body();
    } finally {
      this.autocastSuspended--;
    }
  }
}
