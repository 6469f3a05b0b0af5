/** Whether a layer of a graph does what the layer before it does. */
import type { Argument, GraphNode, ModelGraph } from '../model/graph.js';

/** Where each value comes from and who reads it last. */
export class GraphIndex {
  readonly makers = new Map<string, { node: number; output: number }>();
  readonly parameters: Map<string, number>;
  readonly buffers: Map<string, number>;
  /** First and last node that reads a value. */
  readonly firstReader = new Map<string, number>();
  readonly lastReader = new Map<string, number>();

  constructor(graph: ModelGraph) {
    this.parameters = new Map(graph.parameters.map((p, i) => [p.name, i]));
    this.buffers = new Map(graph.buffers.map((b, i) => [b.name, i]));
    graph.nodes.forEach((node, i) => {
      const read = (name: string): void => {
        if (!this.firstReader.has(name)) this.firstReader.set(name, i);
        this.lastReader.set(name, i);
      };
      visitReferences(node.args, read);
      if (node.kwargs) visitReferences(Object.values(node.kwargs), read);
      node.outputs.forEach((name, output) => {
        if (name !== '') this.makers.set(name, { node: i, output });
      });
    });
  }
}

function visitReferences(list: readonly Argument[], visit: (name: string) => void): void {
  for (const a of list) {
    if (typeof a === 'string') {
      if (a.startsWith('%')) visit(a.slice(1));
    } else if (Array.isArray(a)) visitReferences(a, visit);
  }
}

/** Consecutive nodes of one module, or of a few that repeat together. */
export interface Segment {
  /** Paths of the module calls. */
  paths: string[];
  start: number;
  end: number;
}

/** A path as it goes on below a segment's; null where it does not lead there. */
export function pathWithin(paths: readonly string[], path: string): string | null {
  for (let i = 0; i < paths.length; i++) {
    const own = paths[i] as string;
    if (path === own || (path.startsWith(own) && path[own.length] === '.')) return `${i}${path.slice(own.length)}`;
  }
  return null;
}

/** Operators whose fractions are rates and factors: stochastic depth has another one in every layer, and the same tensors. */
const FACTORS = new Set([
  'aten.bernoulli_.float',
  'aten.dropout',
  'aten.div.Tensor',
  'aten.div_.Tensor',
  'aten.mul.Tensor',
  'aten.mul_.Tensor',
]);

const isFraction = (value: unknown): boolean => typeof value === 'number' && !Number.isInteger(value);

/** Whether a layer's nodes are those of the layer before it, each with values and weights that correspond. */
export class Comparison {
  private readonly paired = new Map<string, string>();

  constructor(
    private readonly nodes: readonly GraphNode[],
    private readonly index: GraphIndex,
    private readonly a: Segment,
    private readonly b: Segment,
  ) {}

  /** The first layer's own weights with the second's, in the order of their use; null where the layers differ. */
  pairs(): Map<string, string> | null {
    const { a, b, nodes } = this;
    for (let i = 0; i < a.end - a.start; i++) {
      if (!this.alike(nodes[a.start + i] as GraphNode, nodes[b.start + i] as GraphNode)) return null;
    }
    return this.paired;
  }

  private alike(x: GraphNode, y: GraphNode): boolean {
    if (x.op !== y.op || x.outputs.length !== y.outputs.length) return false;
    if (pathWithin(this.a.paths, x.module) !== pathWithin(this.b.paths, y.module)) return false;
    if (!x.outputs.every((name, i) => (name === '') === (y.outputs[i] === ''))) return false;
    if (x.args.length !== y.args.length) return false;
    const hasFactors = FACTORS.has(x.op);
    const isSame = (value: Argument, other: Argument | undefined): boolean =>
      this.same(value, other) || (hasFactors && isFraction(value) && isFraction(other));
    if (!x.args.every((value, i) => isSame(value, y.args[i]))) return false;
    const [own, others] = [Object.entries(x.kwargs ?? {}), y.kwargs ?? {}];
    return own.length === Object.keys(others).length && own.every(([key, value]) => this.same(value, others[key]));
  }

  private sameArguments(x: readonly Argument[], y: readonly Argument[]): boolean {
    return x.length === y.length && x.every((value, i) => this.same(value, y[i]));
  }

  private same(x: Argument, y: Argument | undefined): boolean {
    if (Array.isArray(x)) return Array.isArray(y) && this.sameArguments(x, y);
    if (typeof x !== 'string' || typeof y !== 'string' || !x.startsWith('%') || !y.startsWith('%')) return x === y;
    return this.sameValue(x.slice(1), y.slice(1));
  }

  private sameValue(x: string, y: string): boolean {
    const { makers, parameters, buffers } = this.index;
    const [from, to] = [makers.get(x), makers.get(y)];
    if (from && to) {
      // The same value from above, or one of this layer or the one before it.
      return x === y ? from.node < this.a.start : to.node - from.node === this.a.end - this.a.start && to.output === from.output;
    }
    if (x === y) return true;
    const isWeight = (parameters.has(x) && parameters.has(y)) || (buffers.has(x) && buffers.has(y));
    if (!isWeight) return false;
    const known = this.paired.get(x);
    if (known !== undefined) return known === y;
    this.paired.set(x, y);
    return true;
  }
}
