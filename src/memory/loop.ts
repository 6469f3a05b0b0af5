/**
 * The training loop as one list of births and deaths: weights, then three steps (state is born in the first, the second
 * is steady, the third settles what the allocator reserves), put together from traces of a single micro step.
 */
import type { Setup } from '../setup.js';
import { CATEGORIES, type Category } from '../trace/index.js';
import { clippingTemporaries, type OptimizerStep, optimizerStep } from './optimizers.js';
import type { Events, StepTrace } from './step.js';

export const STEPS = 3;
/** The step whose peak is reported. */
export const STEADY_STEP = 1;

export type LoopPhase = 'forward' | 'backward' | 'optimizer';

export interface Loop {
  /** Births in a slot (its number) and deaths there (-1 - number). A slot is used again. */
  events: Int32Array;
  slots: number;
  /** For each event the storage's size: an index into `sizes` of the traces laid end to end. */
  sizeIndex: Int32Array;
  /** For each event the storage's category: an index into CATEGORIES. */
  categories: Uint8Array;
  /** Where each phase of each step begins. */
  marks: { at: number; phase: LoopPhase | 'between'; step: number }[];
  /** What lives when the steady step begins: an index into `sizes` and a category for each storage. */
  held: { sizeIndex: Int32Array; categories: Uint8Array };
}

/** A loop over traces of one micro step: without gradients, and (for accumulation or zeroed gradients) with them. */
export interface LoopTraces {
  fresh: StepTrace;
  accumulating: StepTrace | null;
}

/** Each of GradScaler's tensors is one number in float32 or int32. */
const SCALER_BYTES = 4;

/** Bytes by size index: the traces' storages, the optimizer's state and temporaries, the clipping's, a scaler's number. */
export function sizesOf(traces: LoopTraces, setup: Setup): Float64Array {
  const { trained } = traces.fresh;
  const { states, scratch } = optimizerStep(setup.optimizer, setup.optimizerImplementation, trained);
  const parts = [
    traces.fresh.bytes,
    traces.accumulating?.bytes ?? [],
    states,
    scratch.sizes,
    clippingTemporaries(trained.length),
    [SCALER_BYTES],
  ];
  const sizes = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    sizes.set(part, at);
    at += part.length;
  }
  return sizes;
}

/**
 * The loop over the sizes that differ at one of two batches, with these sizes at either: a model has thousands of storages
 * of a dozen sizes.
 */
export function withDistinctSizes(
  loop: Loop,
  one: Float64Array,
  other: Float64Array,
): { loop: Loop; one: Float64Array; other: Float64Array } {
  const found = new Map<number, number[]>();
  const chosen: number[] = [];
  const renumbered = new Int32Array(one.length);
  for (let i = 0; i < one.length; i++) {
    const alike = found.get(one[i] as number) ?? [];
    let number = alike.find((each) => other[chosen[each] as number] === other[i]);
    if (number === undefined) {
      number = chosen.push(i) - 1;
      alike.push(number);
      found.set(one[i] as number, alike);
    }
    renumbered[i] = number;
  }
  const renumber = (column: Int32Array): Int32Array => column.map((index) => renumbered[index] as number);
  const { sizeIndex, held } = loop;
  return {
    loop: { ...loop, sizeIndex: renumber(sizeIndex), held: { ...held, sizeIndex: renumber(held.sizeIndex) } },
    one: Float64Array.from(chosen, (i) => one[i] as number),
    other: Float64Array.from(chosen, (i) => other[i] as number),
  };
}

const CODES = Object.fromEntries(CATEGORIES.map((category, code) => [category, code])) as Record<Category, number>;

const EVENT_LISTS = ['makeInputs', 'forward', 'backward', 'dropLoss', 'dropInputs', 'dropOutputs', 'dropGradients'] as const;

/** Whether two traces give the same loop, so that they differ in sizes alone. */
export function haveSameOrder(a: LoopTraces, b: LoopTraces): boolean {
  return sameOrder(a.fresh, b.fresh) && (!a.accumulating || !b.accumulating || sameOrder(a.accumulating, b.accumulating));
}

function sameOrder(a: StepTrace, b: StepTrace): boolean {
  return (
    a.bytes.length === b.bytes.length &&
    EVENT_LISTS.every((name) => a[name].length === b[name].length && a[name].every((event, i) => event === b[name][i]))
  );
}

/** `scales`: losses are scaled by a GradScaler, as torch.amp's examples do in float16. */
export function buildLoop(traces: LoopTraces, setup: Setup, scales = false): Loop {
  return new LoopBuilder(traces, setup, scales).build();
}

class LoopBuilder {
  private events = new Int32Array(8192);
  private sizeIndex = new Int32Array(8192);
  private categories = new Uint8Array(8192);
  private length = 0;
  private readonly marks: Loop['marks'] = [];
  private readonly optimizer: OptimizerStep;
  /** Slots that are free, and for every slot what was born there last. */
  private readonly spare: number[] = [];
  private readonly sizeIn: number[] = [];
  private readonly categoryIn: number[] = [];
  /** Deaths that are still owed for what the loop holds on to. */
  private gradients: Events = [];
  private loss: Events = [];
  private inputs: Events = [];
  private outputs: Events = [];
  private hasScaler = false;

  constructor(
    private readonly traces: LoopTraces,
    private readonly setup: Setup,
    private readonly scales: boolean,
  ) {
    this.optimizer = optimizerStep(setup.optimizer, setup.optimizerImplementation, traces.fresh.trained);
  }

  build(): Loop {
    const { fresh } = this.traces;
    for (let id = 0; id < fresh.permanent; id++) this.birth(id, CODES[fresh.categories[id] as Category]);
    for (let step = 0; step < STEADY_STEP; step++) this.step(step);
    const held = this.living();
    for (let step = STEADY_STEP; step < STEPS; step++) this.step(step);
    const { length, marks } = this;
    const [events, sizeIndex, categories] = [
      this.events.slice(0, length),
      this.sizeIndex.slice(0, length),
      this.categories.slice(0, length),
    ];
    return { events, slots: this.sizeIn.length, sizeIndex, categories, marks, held };
  }

  private birth(sizeIndex: number, category: number): number {
    const slot = this.spare.length > 0 ? (this.spare.pop() as number) : this.sizeIn.length;
    this.sizeIn[slot] = sizeIndex;
    this.categoryIn[slot] = category;
    this.push(slot, slot);
    return slot;
  }

  private death(event: number): void {
    const slot = -1 - event;
    this.push(event, slot);
    this.spare.push(slot);
  }

  private push(event: number, slot: number): void {
    const at = this.length++;
    if (at === this.events.length) this.grow();
    this.events[at] = event;
    this.sizeIndex[at] = this.sizeIn[slot] as number;
    this.categories[at] = this.categoryIn[slot] as number;
  }

  private grow(): void {
    const { events, sizeIndex, categories } = this;
    this.events = new Int32Array(2 * events.length);
    this.sizeIndex = new Int32Array(2 * events.length);
    this.categories = new Uint8Array(2 * events.length);
    this.events.set(events);
    this.sizeIndex.set(sizeIndex);
    this.categories.set(categories);
  }

  private living(): Loop['held'] {
    const free = new Set(this.spare);
    const slots = Int32Array.from(this.sizeIn.keys()).filter((slot) => !free.has(slot));
    return {
      sizeIndex: slots.map((slot) => this.sizeIn[slot] as number),
      categories: Uint8Array.from(slots, (slot) => this.categoryIn[slot] as number),
    };
  }

  private mark(phase: LoopPhase | 'between', step: number): void {
    this.marks.push({ at: this.length, phase, step });
  }

  private drop(owed: Events): void {
    for (const event of owed.splice(0)) this.death(event);
  }

  private step(step: number): void {
    const { setup } = this;
    // Micro steps after the second repeat it.
    const micro = Math.min(setup.accumulation, 2);
    const zeroes = setup.zeroGrad === 'to-none';
    for (let i = 0; i < micro; i++) {
      this.mark('forward', step);
      if (zeroes && setup.zeroGradPosition === 'before-forward' && i === 0) this.drop(this.gradients);
      const dropEarly = zeroes && setup.zeroGradPosition === 'before-backward' && i === 0;
      this.microStep(step, dropEarly);
      if (i < micro - 1) this.dropBatch();
    }
    this.mark('optimizer', step);
    // GradScaler.unscale_ inverts its factor and notes what is infinite, until update().
    const unscaling = this.scales ? this.scalars(2, CODES.temporaries) : [];
    this.optimize(step);
    this.drop(unscaling);
    if (zeroes && setup.zeroGradPosition === 'after-step') this.drop(this.gradients);
    if (!setup.keepOutputs) this.dropBatch();
    this.mark('between', step);
  }

  private microStep(step: number, dropGradientsBeforeBackward: boolean): void {
    const held = this.gradients.length > 0 && !dropGradientsBeforeBackward;
    const trace = held && this.traces.accumulating ? this.traces.accumulating : this.traces.fresh;
    const base = trace === this.traces.fresh ? 0 : this.traces.fresh.bytes.length;
    const slots = new Int32Array(trace.bytes.length);
    for (let id = 0; id < trace.permanent; id++) slots[id] = id;
    const play = (events: Events): void => {
      for (let i = 0; i < events.length; i++) {
        const event = events[i] as number;
        if (event >= 0) slots[event] = this.birth(base + event, CODES[trace.categories[event] as Category]);
        else this.death(-1 - (slots[-1 - event] as number));
      }
    };
    const owed = (events: Events): Events => events.map((event) => -1 - (slots[-1 - event] as number));
    play(trace.makeInputs);
    this.drop(this.inputs);
    play(trace.forward);
    this.drop(this.loss);
    this.drop(this.outputs);
    this.mark('backward', step);
    if (dropGradientsBeforeBackward) this.drop(this.gradients);
    const scaledLoss = this.scaleLoss();
    play(trace.backward);
    this.drop(scaledLoss);
    this.loss = owed(trace.dropLoss);
    this.inputs = owed(trace.dropInputs);
    this.outputs = owed(trace.dropOutputs);
    if (!held) this.gradients = owed(trace.dropGradients);
  }

  /** GradScaler.scale: its factor and its count of good steps come with the first loss and stay; the scaled loss goes after backward. */
  private scaleLoss(): Events {
    if (!this.scales) return [];
    if (!this.hasScaler) this.scalars(2, CODES.optimizerState);
    this.hasScaler = true;
    return this.scalars(1, CODES.temporaries);
  }

  /** Births of a scaler's numbers. Returns the deaths that are owed for them. */
  private scalars(count: number, category: number): Events {
    const { fresh, accumulating } = this.traces;
    const { states, scratch } = this.optimizer;
    const others = fresh.bytes.length + (accumulating?.bytes.length ?? 0) + states.length + scratch.sizes.length;
    const sizeIndex = others + clippingTemporaries(fresh.trained.length).length;
    return Array.from({ length: count }, () => -1 - this.birth(sizeIndex, category));
  }

  private dropBatch(): void {
    this.drop(this.loss);
    this.drop(this.inputs);
  }

  private optimize(step: number): void {
    const { fresh, accumulating } = this.traces;
    const { states, scratch } = this.optimizer;
    const at = fresh.bytes.length + (accumulating?.bytes.length ?? 0);
    const made = at + states.length;
    if (this.setup.clipGradNorm !== null) this.temporary(made + scratch.sizes.length, fresh.trained.length + 5);
    if (step === 0) for (const i of states.keys()) this.birth(at + i, CODES.optimizerState);
    const slots = new Int32Array(scratch.sizes.length);
    for (const event of scratch.events) {
      if (event >= 0) slots[event] = this.birth(made + event, CODES.temporaries);
      else this.death(-1 - (slots[-1 - event] as number));
    }
  }

  /** Storages that live together for a moment. */
  private temporary(sizeIndex: number, count: number): void {
    const slots = Array.from({ length: count }, (_, i) => this.birth(sizeIndex + i, CODES.temporaries));
    for (const slot of slots) this.death(-1 - slot);
  }
}
