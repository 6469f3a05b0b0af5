/**
 * The work of a training step at any batch. Two traces say what each kernel does at two batches; operations, bytes and
 * sizes are affine in the batch, so every other batch follows. Equal kernels are kept once with their count.
 */

import { type ElementType, type Kernel, type KernelKind, type KernelPhase, type StepTrace, sameKernel } from '../trace/index.js';
import type { Bytes } from '../units.js';
import { classOf, groupWidths, isHalf } from './kernel-class.js';
import type { Work } from './kernel-time.js';

/** Forward and backward of a micro batch, traced with its kernels. */
export type Tracer = (batch: number) => StepTrace;

/** A kernel that runs `count` times. */
export interface CountedWork extends Work {
  count: number;
  kind: KernelKind;
  type: ElementType;
  phase: KernelPhase;
  /** Operations as a counter of FLOPs has them: all of an attention's, also what a causal one skips. */
  flops: number;
}

/** Batches that are traced: 1 is special, because dimensions of one element have no layout. */
const TRACED = [2, 4] as const;

/** What changes with the batch. */
const AFFINE = ['operations', 'flops', 'bytes', 'rows', 'columns', 'inner', 'width', 'row'] as const;

export class StepWork {
  private readonly traced = new Map<number, StepTrace>();
  private line: { works: CountedWork[]; further: CountedWork[] } | null | undefined;

  constructor(private readonly tracer: Tracer) {}

  /** Kernels of one micro step, equal ones once. */
  at(batch: number): readonly CountedWork[] {
    if (batch === 1) return this.exact(1);
    if (this.line === undefined) this.line = this.fit();
    if (!this.line) return this.exact(batch);
    const { works, further } = this.line;
    const distance = (batch - TRACED[0]) / (TRACED[1] - TRACED[0]);
    return works.map((work, i) => {
      const at = { ...work };
      for (const field of AFFINE) at[field] += ((further[i] as CountedWork)[field] - work[field]) * distance;
      return at;
    });
  }

  /** Trained weights: how many tensors, and their bytes. */
  get trained(): { tensors: number; bytes: Bytes } {
    const { trained } = this.trace(TRACED[0]);
    return { tensors: trained.length, bytes: trained.reduce((sum, t) => sum + t.bytes, 0) };
  }

  /** All weights, trained or not, in bytes of the type that they are kept in. */
  get parameterBytes(): Bytes {
    const trace = this.trace(TRACED[0]);
    return trace.bytes.slice(0, trace.permanent).reduce((sum, bytes, id) => sum + (trace.categories[id] === 'parameters' ? bytes : 0), 0);
  }

  private trace(batch: number): StepTrace {
    const known = this.traced.get(batch);
    if (known) return known;
    const trace = this.tracer(batch);
    this.traced.set(batch, trace);
    return trace;
  }

  private exact(batch: number): readonly CountedWork[] {
    return grouped([this.trace(batch).kernelLog ?? []])[0] as CountedWork[];
  }

  private fit(): { works: CountedWork[]; further: CountedWork[] } | null {
    const [a, b] = TRACED.map((batch) => this.trace(batch).kernelLog ?? []) as [readonly Kernel[], readonly Kernel[]];
    if (a.length !== b.length || a.some((kernel, i) => kernel.name !== b[i]?.name)) return null;
    const [works, further] = grouped([a, b]) as [CountedWork[], CountedWork[]];
    return { works, further };
  }
}

/** Parallel lists of kernels, reduced to those that differ in any of them. */
function grouped(lists: (readonly Kernel[])[]): CountedWork[][] {
  // Those of equal bytes and operations are compared.
  const alike = new Map<number, number[]>();
  const firsts: number[] = [];
  const groups: CountedWork[][] = lists.map(() => []);
  lists[0]?.forEach(({ times, flops, readBytes, writtenBytes }, i) => {
    const sum = flops + readBytes + writtenBytes;
    const candidates = alike.get(sum) ?? [];
    let at = candidates.find((each) => lists.every((list) => sameKernel(list[i] as Kernel, list[firsts[each] as number] as Kernel)));
    if (at === undefined) {
      at = firsts.push(i) - 1;
      candidates.push(at);
      alike.set(sum, candidates);
      for (const [l, list] of lists.entries()) groups[l]?.push({ ...workOf(list[i] as Kernel), count: 0 });
    }
    for (const group of groups) (group[at] as CountedWork).count += times;
  });
  return groups;
}

/** Summed elements beyond which their number no longer matters. */
const LONG = 1e12;

/** Matrix units take eight half-precision elements at a time. */
const ALIGNMENT = 8;

/** A kernel as its time depends on it. */
export function workOf(kernel: Kernel): CountedWork {
  const { product, convolution, kind, type, phase, flops, times } = kernel;
  const half = isHalf(kernel);
  const [channelsOut, channelsIn] = groupWidths(kernel);
  const aligned = channelsOut % ALIGNMENT === 0 && channelsIn % ALIGNMENT === 0;
  // A weight gradient has few rows and columns and is split along what it sums, which is long.
  const weightGradient = convolution?.part === 'weight-gradient';
  return {
    count: times,
    kind,
    type,
    phase,
    flops,
    class: classOf(kernel),
    operations: kernel.causal ? flops / 2 : flops,
    bytes: kernel.readBytes + kernel.writtenBytes,
    rows: product ? (weightGradient ? LONG : product.groups * product.rows) : 0,
    columns: product ? (weightGradient ? Math.min(product.rows, product.columns) : product.columns) : 0,
    inner: product ? (weightGradient ? LONG : product.inner) : 0,
    width: Math.sqrt(channelsOut * channelsIn),
    row: kernel.row,
    half,
    planar: half && convolution !== null && !convolution.channelsLast,
    misaligned: half && convolution?.channelsLast === true && product?.groups === 1 && !aligned,
  };
}
