/**
 * A graph made ready to run: names resolved to slots, and for every node the values that die with it. A value lives
 * until its last use; one that is passed into a module call lives until that call returns, because the caller holds it.
 */
import { UsageError } from '../errors.js';
import type { Argument, ModelGraph } from '../model/graph.js';
import { boundingRule } from './ops/bounding.js';
import { type Rule, ruleOf } from './registry.js';

/** An argument: a slot of a value, an expression to evaluate, a literal, or a list. */
export type Operand = { slot: number } | { size: string } | { literal: null | boolean | number | string } | { list: Operand[] };

export interface Instruction {
  op: string;
  rule: Rule;
  args: Operand[];
  named: [string, Operand][];
  /** Slot of each output, -1 for an unused one. */
  outputs: number[];
  /** Slots that are read, each once. */
  reads: number[];
  /** Slots whose value is not needed after this instruction. */
  deaths: number[];
  /** For a cast to `model`: the slot whose type the Python code names (`x.dtype`), -1 where there is none. */
  typeSource: number;
  module: string;
}

/** A stretch of instructions that activation checkpointing recomputes as one. */
export interface Region {
  module: string;
  start: number;
  end: number;
  /** Slots made outside that are read inside: held until the region's backward is done. */
  inputs: number[];
}

export interface Program {
  graph: ModelGraph;
  slots: number;
  parameterSlots: number[];
  bufferSlots: number[];
  inputSlots: number[];
  instructions: Instruction[];
  lossSlot: number;
  outputSlots: number[];
  regions: Region[];
  /** Slots of values that become leaves where regions are recomputed. */
  recomputedLeaves: Set<number>;
  /** Operators without a rule, which are bounded. */
  assumed: string[];
}

/** What to do about an operator without a rule. */
export const UNKNOWN_HINT = 'measure this model instead: batchfit probe';

const cache = new WeakMap<ModelGraph, Program>();
const genericCache = new WeakMap<ModelGraph, Program>();

/**
 * Prepares a graph. Throws UsageError for a name that nothing defines, and for an operator without a rule unless `generic`
 * says to bound it.
 */
export function programOf(graph: ModelGraph, generic = false): Program {
  const made = generic ? genericCache : cache;
  const known = made.get(graph);
  if (known) return known;
  const program = prepare(graph, generic);
  made.set(graph, program);
  return program;
}

function prepare(graph: ModelGraph, generic: boolean): Program {
  const slots = new Map<string, number>();
  const slotOf = (name: string): number => {
    const found = slots.get(name);
    if (found !== undefined) return found;
    slots.set(name, slots.size);
    return slots.size - 1;
  };
  const known = (name: string, where: string): number => {
    const found = slots.get(name);
    if (found === undefined)
      throw new UsageError('BAD_GRAPH', `${graph.name}: ${where} reads %${name}, which nothing before it makes`, 'export the graph again');
    return found;
  };
  const parameterSlots = graph.parameters.map((p) => slotOf(p.name));
  const bufferSlots = graph.buffers.map((b) => slotOf(b.name));
  const inputSlots = graph.inputs.map((i) => slotOf(i.name));
  const missing = new Set<string>();
  const instructions = graph.nodes.map((node): Instruction => {
    const reads = new Set<number>();
    const operand = (a: Argument): Operand => {
      if (Array.isArray(a)) return { list: a.map(operand) };
      if (typeof a !== 'string') return { literal: a };
      if (a.startsWith('%')) {
        const slot = known(a.slice(1), node.op);
        reads.add(slot);
        return { slot };
      }
      return a.startsWith('=') ? { size: a.slice(1) } : { literal: a };
    };
    const args = node.args.map(operand);
    const named = Object.entries(node.kwargs ?? {}).map(([name, a]): [string, Operand] => [name, operand(a)]);
    const found = ruleOf(node.op);
    if (!found) missing.add(node.op);
    const rule = found ?? boundingRule(node.op, node.outputs.length);
    const outputs = node.outputs.map((name) => (name === '' ? -1 : slotOf(name)));
    return { op: node.op, rule, args, named, outputs, reads: [...reads], deaths: [], typeSource: -1, module: node.module };
  });
  const assumed = [...missing].sort();
  if (assumed.length > 0 && !generic) {
    throw new UsageError(
      'UNKNOWN_OPERATOR',
      `${graph.name}: no memory rule for ${assumed.join(', ')}`,
      `bound ${assumed.length > 1 ? 'them' : 'it'} with --generic, or ${UNKNOWN_HINT}`,
    );
  }
  const lossSlot = known(graph.loss.replace(/^%/, ''), 'loss');
  const outputSlots = graph.outputs.map((name) => known(name.replace(/^%/, ''), 'outputs'));
  const given = new Set([...parameterSlots, ...bufferSlots, ...inputSlots]);
  const permanent = new Set([...given, lossSlot, ...outputSlots]);
  const locals = (graph.locals ?? []).map(([name, until]): Local => {
    const value = until.startsWith('%');
    return { slot: known(name, 'locals'), until: value ? known(until.slice(1), 'locals') : until };
  });
  markDeaths(instructions, permanent, locals);
  markTypeSources(instructions);
  return {
    graph,
    slots: slots.size,
    parameterSlots,
    bufferSlots,
    inputSlots,
    instructions,
    lossSlot,
    outputSlots,
    regions: findRegions(graph, instructions, given),
    recomputedLeaves: new Set((graph.recomputedLeaves ?? []).map((name) => known(name, 'recomputedLeaves'))),
    assumed,
  };
}

/** Index of the last instruction inside each module call, by its path. */
function callEnds(instructions: Instruction[]): Map<string, number> {
  const ends = new Map<string, number>();
  instructions.forEach((instruction, i) => {
    for (const prefix of prefixes(instruction.module)) ends.set(prefix, i);
  });
  return ends;
}

function prefixes(path: string): string[] {
  if (path === '') return [];
  const parts = path.split('.');
  return parts.map((_, i) => parts.slice(0, i + 1).join('.'));
}

/** A value that a variable holds until a module call (a path) returns or another value (a slot) has been made. */
interface Local {
  slot: number;
  until: string | number;
}

function markDeaths(instructions: Instruction[], permanent: Set<number>, locals: Local[]): void {
  const ends = callEnds(instructions);
  const madeIn = new Map<number, string>();
  const madeAt = new Map<number, number>();
  const death = new Map<number, number>();
  instructions.forEach((instruction, i) => {
    for (const slot of instruction.reads) {
      const maker = madeIn.get(slot);
      if (maker === undefined) continue;
      const entered = prefixes(instruction.module).find((prefix) => maker !== prefix && !maker.startsWith(`${prefix}.`));
      death.set(slot, Math.max(death.get(slot) ?? 0, entered === undefined ? i : (ends.get(entered) as number)));
    }
    for (const slot of instruction.outputs) {
      if (slot < 0) continue;
      madeIn.set(slot, instruction.module);
      madeAt.set(slot, i);
      if (!death.has(slot)) death.set(slot, i);
    }
  });
  for (const { slot, until } of locals) {
    const end = typeof until === 'number' ? madeAt.get(until) : until === '' ? instructions.length - 1 : ends.get(until);
    if (end !== undefined && death.has(slot)) death.set(slot, Math.max(death.get(slot) as number, end));
  }
  for (const [slot, at] of death) if (!permanent.has(slot)) (instructions[at] as Instruction).deaths.push(slot);
}

const ARITHMETIC = /^aten\.(add|sub|rsub|mul|div|pow|neg|rsqrt|sqrt|mean|square|sigmoid|tanh|exp|stack|cat)(_?)(\.|$)/;
const VIEW =
  /^aten\.(view|reshape|flatten|slice|select|unbind|chunk|split|split_with_sizes|permute|transpose|unsqueeze|squeeze|expand|contiguous)(\.|$)/;

/**
 * Code writes `y.to(x.dtype)` where y was computed from x, often in float32. Under autocast x may have the low type, so
 * a cast to `model` takes the type of what y was computed from: behind the arithmetic, or behind the cast to float32.
 */
function markTypeSources(instructions: Instruction[]): void {
  const maker = new Map<number, Instruction>();
  for (const instruction of instructions) {
    for (const slot of instruction.outputs) if (slot >= 0) maker.set(slot, instruction);
    if (castsTo(instruction) !== 'model') continue;
    let slot = firstSlot(instruction);
    for (;;) {
      const made = maker.get(slot);
      if (!made || made === instruction) break;
      const widened = castsTo(made);
      if (widened === null && !ARITHMETIC.test(made.op) && !VIEW.test(made.op)) break;
      const next = firstSlot(made);
      if (next < 0) break;
      slot = next;
      if (widened !== null) break;
    }
    instruction.typeSource = slot;
  }
}

/** The type that an operator is told to give its result. */
function castsTo(instruction: Instruction): string | null {
  if (!/^aten\.(to|_to_copy|softmax)(\.|$)/.test(instruction.op)) return null;
  for (const operand of [...instruction.args.slice(1), ...instruction.named.map(([, o]) => o)]) {
    if ('literal' in operand && typeof operand.literal === 'string' && /^(model|float|bfloat)/.test(operand.literal))
      return operand.literal;
  }
  return null;
}

function firstSlot(instruction: Instruction): number {
  for (const operand of instruction.args) {
    if ('slot' in operand) return operand.slot;
    if ('list' in operand) for (const inner of operand.list) if ('slot' in inner) return inner.slot;
  }
  return -1;
}

function findRegions(graph: ModelGraph, instructions: Instruction[], given: ReadonlySet<number>): Region[] {
  return graph.checkpoints.flatMap((module): Region[] => {
    const inside = (i: Instruction): boolean => i.module === module || i.module.startsWith(`${module}.`);
    const start = instructions.findIndex(inside);
    if (start < 0) return [];
    let end = start;
    while (end + 1 < instructions.length && inside(instructions[end + 1] as Instruction)) end++;
    const made = new Set(instructions.slice(start, end + 1).flatMap((i) => i.outputs));
    const inputs = [...new Set(instructions.slice(start, end + 1).flatMap((i) => i.reads))].filter(
      (slot) => !made.has(slot) && !given.has(slot),
    );
    return [{ module, start, end, inputs }];
  });
}
