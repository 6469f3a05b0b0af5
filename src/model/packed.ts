/**
 * The compact form of a graph that the package ships. What repeats from block to block, and from one size of an
 * architecture to the next, reads the same here, so that a general compressor finds it:
 * - a parameter's or module's name is a digit (base 36: how many leading components it shares with the one before it)
 *   and the rest: "layer1.0.conv1", "2bn1" for "layer1.0.bn1";
 * - a value has no name; an argument names it by its distance: "%-1" is the latest;
 * - a weight is named from the node's module upwards: "%.weight" is its own, "%..scale" its parent's.
 */
import type { Argument, Buffer, DType, GraphInput, GraphNode, ModelGraph, Parameter, SymbolRange } from './graph.js';

/** What a parameter says beside its name and shape. */
type ParameterTraits = Omit<Parameter, 'name' | 'shape'>;

/** Outputs: a number, or "1" and "0" for each that is used or not. Left out: one. */
export type PackedNode = [op: string, args: Argument[], module: string, outputs?: number | string, kwargs?: Record<string, Argument>];

export interface PackedGraph {
  versions: string[];
  symbols: Partial<Record<'S' | 'H' | 'W', SymbolRange>>;
  inputs: GraphInput[];
  /** The name, the shape, and where it has any the traits. */
  parameters: (string | number | ParameterTraits)[][];
  buffers: [name: string, dtype: DType, ...shape: number[]][];
  nodes: PackedNode[];
  /** Distances from the end. */
  loss: string;
  outputs: string[];
  checkpoints: string[];
}

/** The graph of a shipped model; `reference` is "timm:resnet50". */
export function unpackGraph(packed: PackedGraph, reference: string): ModelGraph {
  const { versions, symbols, inputs } = packed;
  const parameters = unpackNames(packed.parameters.map(([name]) => name as string)).map((name, index) => {
    const [, ...rest] = packed.parameters[index] as (string | number | ParameterTraits)[];
    const traits = typeof rest.at(-1) === 'object' ? (rest.pop() as ParameterTraits) : {};
    return { name, shape: rest as number[], ...traits };
  });
  const buffers = unpackNames(packed.buffers.map(([name]) => name)).map((name, index): Buffer => {
    const [, dtype, ...shape] = packed.buffers[index] as PackedGraph['buffers'][number];
    return { name, shape, dtype };
  });
  const { nodes, values } = unpackNodes(packed.nodes);
  const value = (text: string): string => unpackReference(text, [], values).slice(1);
  return {
    format: 'batchfit-graph@1',
    name: reference.slice(reference.indexOf(':') + 1),
    source: { format: 'torch-export', reference, versions },
    symbols,
    parameters,
    buffers,
    inputs,
    nodes,
    loss: value(packed.loss),
    outputs: packed.outputs.map(value),
    checkpoints: unpackNames(packed.checkpoints),
  };
}

function unpackNodes(packed: PackedNode[]): { nodes: GraphNode[]; values: string[] } {
  const modules = unpackNames(packed.map(([, , module]) => module));
  const values: string[] = [];
  const nodes = packed.map(([name, args, , outputs = 1, kwargs], index): GraphNode => {
    const module = modules[index] as string;
    const path = componentsOf(moduleOfCall(module));
    const unpack = (argument: Argument): Argument => {
      if (Array.isArray(argument)) return argument.map(unpack);
      return typeof argument === 'string' && argument.startsWith('%') ? unpackReference(argument, path, values) : argument;
    };
    const op = name.includes('::') ? name.replace('::', '.') : `aten.${name}`;
    const given = { args: args.map(unpack), ...(kwargs && { kwargs: mapValues(kwargs, unpack) }) };
    const names = outputNames(name, values.length, outputs);
    values.push(...names.filter((output) => output !== ''));
    return { op, ...given, outputs: names, module };
  });
  return { nodes, values };
}

/** Names by operator and number, as an export makes them: "conv2d_12". */
function outputNames(op: string, first: number, outputs: number | string): string[] {
  const base = op.replace(/^.*::/, '').split('.')[0];
  if (outputs === 1) return [`${base}_${first}`];
  const used = typeof outputs === 'number' ? Array.from({ length: outputs }, () => '1') : [...outputs];
  let number = first;
  return used.map((flag) => (flag === '1' ? `${base}_${number++}` : ''));
}

/** "%-1", "%.weight" and "%..scale" by their full names. */
function unpackReference(text: string, path: string[], values: string[]): string {
  if (text[1] === '-') return `%${values[values.length + Number(text.slice(1))]}`;
  if (text[1] !== '.') return text;
  const rest = text.replace(/^%\.+/, '');
  const up = text.length - rest.length - 2;
  return `%${[...path.slice(0, path.length - up), rest].join('.')}`;
}

/** Full names from those that share leading components with the one before. */
export function unpackNames(packed: string[]): string[] {
  let last: string[] = [];
  return packed.map((text) => {
    last = [...last.slice(0, Number.parseInt(text[0] as string, 36)), ...componentsOf(text.slice(1))];
    return last.join('.');
  });
}

/** The module of one of its calls: "encoder.layer@1" is a second call of "encoder.layer". */
export function moduleOfCall(path: string): string {
  return path.includes('@') ? path.replace(/@\d+/g, '') : path;
}

export function componentsOf(path: string): string[] {
  return path === '' ? [] : path.split('.');
}

export function mapValues<A, B>(record: Record<string, A>, change: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}
