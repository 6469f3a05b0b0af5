/**
 * Builds a ModelGraph call by call, as the readers walk a model in the order in which PyTorch would run it. It names
 * values, knows the path of the module that is running, and keeps every value's shape and dtype.
 */
import { UsageError } from '../errors.js';
import type { Argument, DType, GraphInput, GraphNode, ModelGraph, ModelSource, Size, SymbolRange } from './graph.js';

/** A value of the graph under construction. */
export interface Value {
  readonly name: string;
  readonly shape: readonly Size[];
  readonly dtype: DType;
}

/** An argument of a call: a value, a list of values or sizes, or a literal. Wrap an integer size in `size()`. */
export type CallArgument = Value | Argument | readonly CallArgument[];

/** Shape and dtype of an output. */
export interface Result {
  shape: readonly Size[];
  dtype: DType;
}

/** An integer Size as an argument. */
export function size(value: Size): Argument {
  return typeof value === 'number' ? value : `=${value}`;
}

/** Sizes as a list argument. */
export function sizes(values: readonly Size[]): Argument[] {
  return values.map(size);
}

export class GraphBuilder {
  private readonly graph: ModelGraph;
  /** Path of the running module call, with "@1" on repeated calls, and without: parameters carry the latter. */
  private callPath = '';
  private modulePath = '';
  private readonly calls = new Map<string, number>();
  private readonly names = new Map<string, { base: string; count: number }>();
  private readonly held = new Map<string, Value>();
  /** What variables of checkpointed layers hold. */
  private readonly variables = new Map<string, [value: string, until: string]>();
  /** Children of a module in the order of their registration, where that is not the order of their use. */
  private readonly order = new Map<string, string[]>();

  constructor(name: string, source: ModelSource) {
    this.graph = {
      format: 'batchfit-graph@1',
      name,
      source,
      symbols: {},
      parameters: [],
      buffers: [],
      inputs: [],
      nodes: [],
      loss: '',
      outputs: [],
      checkpoints: [],
    };
  }

  /** Declares S, H or W and returns it as a size. */
  symbol(name: 'S' | 'H' | 'W', range: SymbolRange): Size {
    this.graph.symbols[name] = range;
    return name;
  }

  input(name: string, shape: Size[], dtype: DType, role: GraphInput['role'], high?: number): Value {
    this.graph.inputs.push({ name, shape, dtype, role, ...(high === undefined ? {} : { high }) });
    return this.hold(name, shape, dtype);
  }

  /** Runs `body` as a call of the submodule `name` ("conv1", "layers.0"); a second call of it gets "@1" in the path. */
  inModule<T>(name: string, body: () => T): T {
    const { callPath, modulePath } = this;
    const path = join(callPath, name);
    const count = this.calls.get(path) ?? 0;
    this.calls.set(path, count + 1);
    this.callPath = count === 0 ? path : `${path}@${count}`;
    this.modulePath = join(modulePath, name);
    try {
      return body();
    } finally {
      this.callPath = callPath;
      this.modulePath = modulePath;
    }
  }

  /** `inModule` for a region that full activation checkpointing recomputes. */
  inCheckpoint<T>(name: string, body: () => T): T {
    return this.inModule(name, () => {
      this.graph.checkpoints.push(this.callPath);
      return body();
    });
  }

  /** The parameter `name` of the running module; a repeated call of the module gets the same one. */
  parameter(name: string, shape: number[], options: { dtype?: DType; trainable?: boolean } = {}): Value {
    const path = join(this.modulePath, name);
    const known = this.held.get(path);
    if (known) return known;
    this.graph.parameters.push({ name: path, shape, ...options });
    return this.hold(path, shape, options.dtype ?? 'model');
  }

  /** A variable of the checkpointed layer that runs: it holds the value until it gets another one or the layer returns. */
  assignInLayer(variable: string, value: Value): void {
    const layer = this.graph.checkpoints.at(-1);
    if (layer === undefined || !this.callPath.startsWith(`${layer}.`)) return;
    const key = `${layer} ${variable}`;
    const before = this.variables.get(key);
    if (before) before[1] = `%${value.name}`;
    const held: [string, string] = [value.name, layer];
    this.variables.set(key, held);
    this.graph.locals ??= [];
    this.graph.locals.push(held);
  }

  /** Says that the code gives this value a gradient of its own where it recomputes activations. */
  recomputedLeaf(value: Value): Value {
    this.graph.recomputedLeaves = [...(this.graph.recomputedLeaves ?? []), value.name];
    return value;
  }

  /** Says that variables of the code hold these values: until `until` has been made, else until the running module returns. */
  holdInLocals(values: readonly Value[], until?: Value): void {
    this.graph.locals ??= [];
    for (const { name } of values) this.graph.locals.push([name, until ? `%${until.name}` : this.callPath]);
  }

  /** The same until the running module's child has returned, whose result the variable gets. */
  holdUntilReturned(values: readonly Value[], child: string): void {
    this.graph.locals ??= [];
    for (const { name } of values) this.graph.locals.push([name, join(this.callPath, child)]);
  }

  /** Says in which order the running module registers its children: the order of its parameters. */
  orderChildren(...names: string[]): void {
    this.order.set(this.modulePath, names);
  }

  /** A parameter or buffer that exists, by its full path. */
  weight(path: string): Value {
    const value = this.held.get(path);
    if (!value) throw new Error(`${path} has not been declared`);
    return value;
  }

  /** Ties the parameter `name` of the running module to one that exists. */
  tie(name: string, target: Value): Value {
    const alias = join(this.modulePath, name);
    const parameter = this.graph.parameters.find((candidate) => candidate.name === target.name);
    if (parameter && !parameter.aliases?.includes(alias)) parameter.aliases = [...(parameter.aliases ?? []), alias];
    return target;
  }

  buffer(name: string, shape: number[], dtype: DType): Value {
    const path = join(this.modulePath, name);
    const known = this.held.get(path);
    if (known) return known;
    this.graph.buffers.push({ name: path, shape, dtype });
    return this.hold(path, shape, dtype);
  }

  /** Appends a node with one output. Trailing arguments that equal the schema's defaults must have been left out. */
  call(op: string, args: readonly CallArgument[], result: Result, kwargs?: Record<string, CallArgument>): Value {
    const value = { name: this.unique(op), shape: result.shape, dtype: result.dtype };
    this.append(op, args, [value.name], kwargs);
    return value;
  }

  /** Appends a node with several outputs. */
  callMany(op: string, args: readonly CallArgument[], results: readonly Result[], kwargs?: Record<string, CallArgument>): Value[] {
    const values = results.map(({ shape, dtype }) => ({ name: this.unique(op), shape, dtype }));
    this.append(
      op,
      args,
      values.map(({ name }) => name),
      kwargs,
    );
    return values;
  }

  private append(op: string, args: readonly CallArgument[], outputs: string[], kwargs?: Record<string, CallArgument>): void {
    const node: GraphNode = { op, args: args.map(lower), outputs, module: this.callPath };
    if (kwargs) {
      node.kwargs = {};
      for (const key in kwargs) node.kwargs[key] = lower(kwargs[key] as CallArgument);
    }
    this.graph.nodes.push(node);
    if (this.graph.nodes.length > LARGEST_GRAPH) throw tooLarge(this.graph);
  }

  /** Ends the graph: what backward starts from, and what the model's call returns. */
  finish(loss: Value, outputs: readonly Value[]): ModelGraph {
    const { parameters, buffers } = this.graph;
    const sorted = { parameters: this.inOrder(parameters), buffers: this.inOrder(buffers) };
    return { ...this.graph, ...sorted, loss: loss.name, outputs: outputs.map(({ name }) => name) };
  }

  /** As `named_parameters()`: a module's own before its children's, children as registered. */
  private inOrder<T extends { name: string }>(weights: readonly T[]): T[] {
    const ranks = new Map<string, number>();
    const rank = (path: string, parent: string, child: string, leaf: boolean): number => {
      const known = ranks.get(path);
      if (known !== undefined) return known;
      const registered = this.order.get(parent)?.indexOf(child) ?? -1;
      const value = leaf ? -1e6 + ranks.size : registered >= 0 ? registered : 1e3 + ranks.size;
      ranks.set(path, value);
      return value;
    };
    const keyed = weights.map((weight) => {
      const key: number[] = [];
      let start = 0;
      for (let end = weight.name.indexOf('.'); start >= 0; end = weight.name.indexOf('.', start)) {
        const stop = end < 0 ? weight.name.length : end;
        key.push(rank(weight.name.slice(0, stop), weight.name.slice(0, Math.max(0, start - 1)), weight.name.slice(start, stop), end < 0));
        start = end < 0 ? -1 : end + 1;
      }
      return { weight, key };
    });
    return keyed.sort((a, b) => compareKeys(a.key, b.key)).map(({ weight }) => weight);
  }

  private hold(name: string, shape: readonly Size[], dtype: DType): Value {
    const value = { name, shape, dtype };
    this.held.set(name, value);
    return value;
  }

  /** A name from the operator's, numbered from the second on: conv2d, conv2d_1 ... */
  private unique(op: string): string {
    let names = this.names.get(op);
    if (!names) {
      const base = op.split('.')[1] ?? op;
      // Overloads of one operator share their numbers.
      names = this.names.get(base) ?? { base, count: 0 };
      this.names.set(base, names).set(op, names);
    }
    for (;;) {
      const { base, count } = names;
      names.count++;
      const name = count === 0 ? base : `${base}_${count}`;
      if (!this.held.has(name)) return name;
    }
  }
}

/** A mixture of 61 layers of 384 experts has some 120,000: more is a slip in a count, which would take minutes and gigabytes. */
const LARGEST_GRAPH = 400_000;

function tooLarge({ name, source }: ModelGraph): UsageError {
  return new UsageError(
    'BAD_MODEL',
    `${source.reference}: ${name} has more than ${LARGEST_GRAPH.toLocaleString('en')} calls of operators`,
    'check its counts of layers, repeats and experts',
  );
}

function lower(argument: CallArgument): Argument {
  if (Array.isArray(argument)) return argument.map(lower);
  return argument !== null && typeof argument === 'object' ? `%${(argument as Value).name}` : (argument as Argument);
}

function compareKeys(a: readonly number[], b: readonly number[]): number {
  const level = a.findIndex((value, index) => value !== b[index]);
  return level < 0 ? a.length - b.length : (a[level] as number) - (b[level] ?? Number.NEGATIVE_INFINITY);
}

function join(path: string, name: string): string {
  if (path === '' || name === '') return path + name;
  return `${path}.${name}`;
}
