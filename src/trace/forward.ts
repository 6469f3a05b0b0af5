/** Runs a program's forward pass: instructions in order, values freed as the Python code would drop them. */
import { bindSizes, type SymbolValues } from '../model/sizes.js';
import type { ElementType } from './dtype.js';
import type { Operand, Program, Region } from './program.js';
import { call, type Named, type Value } from './registry.js';
import { type Frame, type Session, StopRecomputation } from './session.js';
import type { Tensor } from './tensor.js';

/** The values of a running program by slot, with one handle each. */
export type Values = (Tensor | null)[];

export interface ForwardOptions {
  symbols: SymbolValues;
  /** Recompute the program's regions in backward instead of keeping what they save. */
  checkpointing: boolean;
}

/** Runs all instructions over `values`, which hold parameters, buffers and inputs. */
export function runForward(s: Session, program: Program, values: Values, options: ForwardOptions): void {
  const size = bindSizes(options.symbols);
  const types: Types = values.map((t) => t?.type);
  const regions = new Map(options.checkpointing ? program.regions.map((r) => [r.start, r]) : []);
  for (let i = 0; i < program.instructions.length; i++) {
    const region = regions.get(i);
    if (region) {
      runRegion(s, program, values, types, region, size);
      i = region.end;
    } else execute(s, program, values, types, i, size);
  }
}

type Sizes = (size: string) => number;

/** Types of the values so far, by slot; they outlive the values. */
type Types = (ElementType | undefined)[];

function resolve(operand: Operand, values: Values, size: Sizes): Value {
  if ('slot' in operand) return values[operand.slot] ?? null;
  if ('literal' in operand) return operand.literal;
  if ('size' in operand) return size(operand.size);
  return operand.list.map((o) => resolve(o, values, size));
}

function execute(s: Session, program: Program, values: Values, types: Types, index: number, size: Sizes, keep?: Set<number>): void {
  const instruction = program.instructions[index] as (typeof program.instructions)[number];
  const source = s.options.autocast && instruction.typeSource >= 0 ? types[instruction.typeSource] : undefined;
  const typed = (value: Value): Value => (source && value === 'model' ? source : value);
  const args = instruction.args.map((a) => typed(resolve(a, values, size)));
  const named: Named = {};
  for (const [name, operand] of instruction.named) named[name] = typed(resolve(operand, values, size));
  s.tape.instruction = index;
  s.marks?.enter(index);
  const result = call(s, instruction.op, args, named, instruction.rule);
  const list = Array.isArray(result) ? result : [result];
  list.forEach((t, i) => {
    const slot = instruction.outputs[i] ?? -1;
    const owned = s.take(t);
    if (slot >= 0) types[slot] = t?.type;
    if (t && (s.frame || s.recomputing) && program.recomputedLeaves.has(slot)) s.makeLeaf(t);
    if (slot < 0) s.release(owned);
    else values[slot] = owned;
  });
  for (const slot of instruction.deaths) {
    if (keep?.has(slot)) continue;
    s.release(values[slot] ?? null);
    values[slot] = null;
  }
}

/**
 * A region under non-reentrant activation checkpointing (torch/utils/checkpoint.py): forward keeps only the region's
 * inputs; the first backward function that needs something saved runs the region again, up to the last tensor to save.
 */
function runRegion(s: Session, program: Program, values: Values, types: Types, region: Region, size: Sizes): void {
  const held = region.inputs.map((slot) => s.retain(values[slot] ?? null));
  const frame: Frame = {
    saves: 0,
    functions: [],
    open: 0,
    recomputed: false,
    kept: [],
    recompute: () => recompute(s, program, region, held, values, types, size, frame),
    release: () => {
      for (const t of held) s.release(t);
      for (const t of frame.kept.splice(0)) s.release(t);
    },
  };
  const before = s.frame;
  s.frame = frame;
  for (let i = region.start; i <= region.end; i++) execute(s, program, values, types, i, size);
  s.frame = before;
  if (frame.open === 0) frame.release();
}

function recompute(
  s: Session,
  program: Program,
  region: Region,
  held: (Tensor | null)[],
  outer: Values,
  types: Types,
  size: Sizes,
  frame: Frame,
): void {
  const values: Values = new Array<Tensor | null>(program.slots).fill(null);
  for (const slot of [...program.parameterSlots, ...program.bufferSlots, ...program.inputSlots])
    values[slot] = s.retain(outer[slot] ?? null);
  region.inputs.forEach((slot, i) => {
    const source = held[i];
    if (!source) return;
    const input = s.take(s.alias(source));
    input.requiresGrad = source.requiresGrad;
    values[slot] = input;
  });
  const [frameBefore, autocastBefore, gradientsBefore] = [s.recomputing, s.autocastSuspended, s.gradientsEnabled];
  s.recomputing = { frame, next: 0, saved: 0, reused: 0 };
  s.gradientsEnabled = true;
  s.autocastSuspended = 0;
  const cacheBefore = s.swapCastCache(new Map());
  try {
    s.scope(() => {
      for (let i = region.start; i <= region.end; i++) execute(s, program, values, types, i, size, new Set(program.outputSlots));
      return null;
    });
  } catch (stop) {
    if (!(stop instanceof StopRecomputation)) throw stop;
  }
  for (const t of values) s.release(t);
  for (const copy of s.swapCastCache(cacheBefore).values()) s.release(copy);
  s.recomputing = frameBefore;
  s.autocastSuspended = autocastBefore;
  s.gradientsEnabled = gradientsBefore;
}
