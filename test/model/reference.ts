/** Brings a reader's graph and an exported one (reference.py) into one form, so that they can be compared node by node. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { Argument, ModelGraph } from '../../src/model/graph.js';
import { evaluateSize } from '../../src/model/sizes.js';

export interface Case {
  name: string;
  kind: 'vision' | 'hf';
  library?: string;
  model?: string;
  model_type?: string;
  architecture?: string;
  config?: Record<string, unknown>;
  attention?: string;
  transformers_version?: string;
}

export interface Reference {
  case: Case;
  parameters: number;
  shapes: Record<string, number[]>;
  nodes: [op: string, args: Argument[], kwargs: Record<string, Argument>, module: string][];
}

const FIXTURES = new URL('./fixtures/', import.meta.url);

export function readCases(): Case[] {
  return JSON.parse(readFileSync(new URL('cases.json', FIXTURES), 'utf8'));
}

export function readReference(name: string): Reference {
  return JSON.parse(gunzipSync(readFileSync(new URL(`${name}.json.gz`, FIXTURES))).toString('utf8'));
}

/** A flag at the end of norms that says whether cuDNN is on: that of the exporting machine. */
const CUDNN_FLAG = new Set(['aten.layer_norm', 'aten.batch_norm', 'aten.group_norm']);
const COMMUTATIVE = new Set(['aten.add.Tensor', 'aten.mul.Tensor']);
const FULL = Number.MAX_SAFE_INTEGER;

/** A cast to another value's dtype is a cast to the weights' dtype, where all is exported in that. */
function castAsExported(op: string, args: Argument[]): [string, Argument[]] {
  if (op === 'aten.type_as') return ['aten.to.dtype', [args[0] as Argument, 'model']];
  // Zeros in another value's dtype are zeros in the weights' dtype.
  if (op === 'aten.new_zeros' || op === 'aten.zeros') return ['zeros', [args.at(-1) as Argument]];
  // A scalar tensor's value is not known on the meta device.
  if (op === 'aten.full' && JSON.stringify(args[0]) === '[]') return [op, [args[0] as Argument, 'constant']];
  if (op === 'aten.to.device') return ['aten.to.dtype', [args[0] as Argument, args[2] as Argument]];
  return [op, args];
}

function line(
  exported: string,
  given: Argument[],
  kwargs: Record<string, Argument>,
  parameter: (name: string) => string,
  evaluate: (size: string) => number,
): string {
  // The export has the fused operator where BLOOM has a function of its own.
  if (exported === 'transformers.bloom_gelu') return line('aten.gelu', given, { approximate: 'tanh' }, parameter, evaluate);
  const [op, args] = castAsExported(exported, given);
  const lower = (argument: Argument): unknown => {
    if (Array.isArray(argument)) return argument.map(lower);
    if (typeof argument === 'number')
      return argument >= FULL ? 'end' : argument < -60000 || Object.is(argument, -0) ? (argument < 0 ? 'lowest' : 0) : argument;
    if (typeof argument !== 'string') return argument;
    if (argument.startsWith('=')) return evaluate(argument.slice(1));
    return argument.startsWith('%') ? parameter(argument.slice(1)) : argument;
  };
  const last = args.length - 1;
  const kept = CUDNN_FLAG.has(op) && typeof args[last] === 'boolean' ? args.slice(0, last) : args;
  const values = kept.map(lower);
  while (values.length > 1 && values.at(-1) === 'end') values.pop();
  if (COMMUTATIVE.has(op) && values.every((value) => typeof value === 'string')) values.sort();
  const named = Object.entries(op === 'zeros' ? {} : kwargs).map(([key, value]) => `${key}=${JSON.stringify(lower(value))}`);
  return `${op}(${[...values.map((value) => JSON.stringify(value)), ...named.sort()].join(', ')})`;
}

/** Weights by name, or, where the two name them differently, by the order of their first use. */
function weightNames(known: Map<string, number[]>, byName: boolean): (name: string) => string {
  const order = new Map<string, number>();
  return (name) => {
    if (byName || !known.has(name)) return name;
    if (!order.has(name)) order.set(name, order.size);
    return `w${order.get(name)}[${known.get(name)}]`;
  };
}

/** What a tied weight is called in a reader's graph, by its other names. */
export function tiedNames(graph: ModelGraph): Map<string, string> {
  return new Map(graph.parameters.flatMap(({ name, aliases = [] }) => aliases.map((alias) => [alias, name] as const)));
}

/** One line a node of the reference; `tied` names tied weights as the reader does. */
export function referenceLines(reference: Reference, byName: boolean, tied = new Map<string, string>()): string[] {
  const weights = new Map(Object.entries(reference.shapes));
  const running = /running_(mean|var)$/;
  const name = weightNames(weights, byName);
  return reference.nodes.map(([op, args, kwargs, module]) => {
    const text = line(op, args, kwargs, (ref) => (running.test(ref) ? 'running' : name(tied.get(ref) ?? ref)), Number);
    return byName ? `${text} @ ${module}` : text;
  });
}

/** One line a node of a reader's graph, its sizes at the reference's batch 3 and sequence 11. */
export function graphLines(graph: ModelGraph, byName: boolean): string[] {
  const weights = new Map(graph.parameters.map(({ name, shape }) => [name, shape]));
  const running = new Set(graph.buffers.filter(({ name }) => /running_(mean|var)$/.test(name)).map(({ name }) => name));
  const values = new Map<string, string>();
  const aliases = new Map<string, string>();
  // A cast to a parameter's dtype is one that runs under autocast alone: exported without it, it is not there.
  const nodes = graph.nodes.filter(({ op, args, outputs }) => {
    const idle = op === 'aten.type_as' && weights.has(String(args[1]).slice(1));
    if (idle) aliases.set(outputs[0] as string, String(args[0]).slice(1));
    return !idle;
  });
  nodes.forEach(({ outputs }, index) => {
    for (const [part, output] of outputs.entries()) values.set(output, outputs.length > 1 ? `${index}.${part}` : `${index}`);
  });
  const nameOf = (ref: string): string | undefined => values.get(aliases.get(ref) ?? ref);
  const name = weightNames(weights, byName);
  const symbols = { B: 3, S: 11, H: graph.symbols.H?.default ?? 0, W: graph.symbols.W?.default ?? 0 };
  return nodes.map(({ op, args, kwargs = {}, module }) => {
    const text = line(
      op,
      args,
      kwargs,
      (ref) => nameOf(ref) ?? (running.has(ref) ? 'running' : name(ref)),
      (size) => evaluateSize(size, symbols),
    );
    return byName ? `${text} @ ${module.replace(/@\d+/g, '')}` : text;
  });
}

export function parameterCount(graph: ModelGraph): number {
  return graph.parameters.reduce((sum, { shape }) => sum + shape.reduce((product, extent) => product * extent, 1), 0);
}
