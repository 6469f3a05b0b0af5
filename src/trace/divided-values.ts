/** Follows through a graph which dimension of each value is divided between devices, and divides what calls say of it. */
import { UsageError } from '../errors.js';
import type { Argument, GraphNode, ModelGraph } from '../model/graph.js';

/** Elementwise, or otherwise over dimensions that are not divided. */
const POINTWISE = new Set(
  [
    'add sub rsub mul div neg pow square sqrt rsqrt exp tanh sigmoid gelu silu relu to type_as float contiguous clone alias detach',
    'dropout softmax _softmax where masked_fill erf requires_grad_ bloom_gelu',
  ].flatMap((names) => names.split(' ')),
);

type Divided = number | undefined;

export class DividedValues {
  private readonly dimensions = new Map<string, number>();
  private readonly weights: Set<string>;

  constructor(
    private readonly graph: ModelGraph,
    private readonly shapes: ReadonlyMap<string, readonly number[]>,
    private readonly ways: number,
  ) {
    this.weights = new Set([...graph.parameters, ...graph.buffers].map(({ name }) => name));
  }

  divide(name: string, dimension: number): void {
    this.dimensions.set(name, dimension);
  }

  /** A weight's shape on one device; rows that do not divide are padded, as a vocabulary is. */
  shapeOf(name: string, shape: number[]): number[] {
    const divided = this.dimensions.get(name);
    return shape.map((size, i) => (i === divided ? Math.ceil(size / this.ways) : size));
  }

  /** The call as one device makes it. */
  run(node: GraphNode): GraphNode {
    const op = node.op.replace(/^(aten|transformers)\./, '').replace(/\..*$/, '');
    const given = node.args.flat(2).filter((a) => this.dimensionOf(a) !== undefined);
    if (given.length === 0) return node;
    const rule = this.rules[op.replace(/(?<=[a-z])_$/, '')] ?? (POINTWISE.has(op.replace(/_$/, '')) ? this.pointwise : null);
    if (!rule) return this.refuse(node);
    return rule.call(this, node);
  }

  private dimensionOf(argument: Argument | undefined): Divided {
    return typeof argument === 'string' && argument.startsWith('%') ? this.dimensions.get(argument.slice(1)) : undefined;
  }

  private shape(argument: Argument | undefined): readonly number[] {
    return this.shapes.get(String(argument).slice(1)) ?? [];
  }

  private refuse(node: GraphNode, why = `${node.op} on part of a layer`): never {
    throw new UsageError(
      'NOT_COVERED',
      `--tensor-parallel ${this.ways}: ${this.graph.name}${node.module ? `, ${node.module}` : ''}: ${why} is not covered`,
      'use a number that divides its heads and hidden units, or --tensor-parallel 1',
    );
  }

  /** Names the divided dimension of the outputs. */
  private out(node: GraphNode, dimension: Divided, args: Argument[] = node.args): GraphNode {
    if (dimension !== undefined) for (const name of node.outputs) if (name) this.dimensions.set(name, dimension);
    return { ...node, args };
  }

  private part(size: Argument, node: GraphNode): Argument {
    if (typeof size === 'string') return `=(${size.slice(1)})//${this.ways}`;
    if (typeof size !== 'number' || size < 0) return size;
    const vocabulary = node.module === '' || size % this.ways === 0;
    return vocabulary ? Math.ceil(size / this.ways) : this.refuse(node, `${size} in ${this.ways} parts`);
  }

  private readonly pointwise = (node: GraphNode): GraphNode => {
    const result = this.shapes.get(node.outputs[0] ?? '') ?? this.shape(node.args[0]);
    const operands = node.args.filter((a) => typeof a === 'string' && a.startsWith('%'));
    const behind = new Set<number>();
    for (const a of operands) {
      const d = this.dimensionOf(a);
      if (d !== undefined) behind.add(this.shape(a).length - d);
    }
    const [fromEnd] = behind;
    if (fromEnd === undefined || behind.size > 1) return this.refuse(node);
    const dimension = result.length - fromEnd;
    const softmax = /softmax/.test(node.op) && (Number(node.args[1]) + result.length) % result.length === dimension;
    if (softmax) return this.refuse(node);
    for (const a of operands) {
      if (this.dimensionOf(a) !== undefined) continue;
      const shape = this.shape(a);
      const own = shape.length - fromEnd;
      if (own < 0 || shape[own] === 1) continue;
      const name = String(a).slice(1);
      if (!this.weights.has(name)) return this.refuse(node, `${node.op} with a value that is whole`);
      this.dimensions.set(name, own);
    }
    return this.out(node, dimension);
  };

  /** A new shape: the divided dimension is the first of those that its size goes to, or is part of. */
  private readonly reshape = (node: GraphNode): GraphNode => {
    const from = this.shape(node.args[0]);
    const to = this.shapes.get(node.outputs[0] as string) ?? [];
    const dimension = this.dimensionOf(node.args[0]) as number;
    const before = from.slice(0, dimension).reduce((a, b) => a * b, 1);
    const after = before * (from[dimension] as number);
    const sizes = node.args[1];
    const written = Array.isArray(sizes) ? sizes : [];
    let start = 1;
    let found = node.module === '' && to.at(-1) === from[dimension] ? to.length - 1 : -1;
    for (let i = 0; i < to.length && found < 0; i++) {
      const size = to[i] as number;
      const within = size > 1 && start * size > before && start < after;
      start *= size;
      if (within && size % this.ways === 0) found = i;
      // Only a batch or a sequence may lie in front: what a device holds are whole heads.
      else if (within && typeof written[i] !== 'string') return this.refuse(node, `${size} in ${this.ways} parts`);
    }
    if (found < 0) return this.refuse(node, `${from[dimension]} in ${this.ways} parts`);
    if (written.length === 0) return this.out(node, found);
    const parts = written.map((size, i) => (i === found ? this.part(size, node) : size));
    return this.out(node, found, [node.args[0] ?? null, parts, ...node.args.slice(2)]);
  };

  private readonly linear = (node: GraphNode): GraphNode => {
    const [x, weight, bias] = node.args;
    const rank = this.shape(x).length;
    if (this.dimensionOf(x) === rank - 1 && rank > 0) {
      this.dimensions.set(String(weight).slice(1), 1);
      return node;
    }
    if (this.dimensionOf(x) !== undefined || this.dimensionOf(weight) !== 0) return this.refuse(node);
    if (typeof bias === 'string') this.dimensions.set(bias.slice(1), 0);
    return this.out(node, rank - 1);
  };

  /** addmm(bias, x, weight) of a Conv1D, whose weight is [in, out]. */
  private readonly addmm = (node: GraphNode): GraphNode => {
    const [bias, x, weight] = node.args;
    if (this.dimensionOf(x) === 1) {
      this.dimensions.set(String(weight).slice(1), 0);
      return node;
    }
    if (this.dimensionOf(x) !== undefined || this.dimensionOf(weight) !== 1) return this.refuse(node);
    this.dimensions.set(String(bias).slice(1), 0);
    return this.out(node, 1);
  };

  /** Products within each head. */
  private readonly matmul = (node: GraphNode): GraphNode => {
    const operands = node.args.filter((a) => typeof a === 'string' && a.startsWith('%'));
    const [first, ...others] = operands.map((a) => this.dimensionOf(a));
    const batched = first !== undefined && first < this.shape(operands[0]).length - 2;
    return batched && others.every((d) => d === first) ? this.out(node, first) : this.refuse(node, `${node.op} with a value that is whole`);
  };

  private readonly attention = (node: GraphNode): GraphNode => {
    const [query, key, value] = node.args.slice(0, 3).map((a) => this.dimensionOf(a));
    return query === 1 && key === 1 && value === 1 ? this.out(node, 1) : this.refuse(node, 'attention with whole keys');
  };

  private readonly transpose = (node: GraphNode): GraphNode => {
    const rank = this.shape(node.args[0]).length;
    const [a, b] = node.args.slice(1, 3).map((d) => (Number(d) + rank) % rank);
    const d = this.dimensionOf(node.args[0]);
    return this.out(node, d === a ? b : d === b ? a : d);
  };

  private readonly permute = (node: GraphNode): GraphNode => {
    const order = (node.args[1] as number[]).map((d) => (d + this.shape(node.args[0]).length) % this.shape(node.args[0]).length);
    return this.out(node, order.indexOf(this.dimensionOf(node.args[0]) as number));
  };

  /** Pieces along a dimension: sizes of pieces of the divided one are divided with it. */
  private readonly split = (node: GraphNode): GraphNode => {
    const [x, sizes = null, along = 0] = node.args;
    const rank = this.shape(x).length;
    const divided = this.dimensionOf(x);
    if ((Number(along) + rank) % rank !== divided || node.op.startsWith('aten.chunk')) return this.out(node, divided);
    const parts = Array.isArray(sizes) ? sizes.map((size) => this.part(size, node)) : this.part(sizes, node);
    return this.out(node, divided, [x ?? null, parts, along]);
  };

  private readonly slice = (node: GraphNode): GraphNode => {
    const [x = null, along = 0, start = null, end = null, ...rest] = node.args;
    const rank = this.shape(x).length;
    const divided = this.dimensionOf(x);
    if ((Number(along) + rank) % rank !== divided) return this.out(node, divided);
    const bound = (at: Argument): Argument => (at === null ? at : this.part(at, node));
    return this.out(node, divided, [x, along, bound(start), bound(end), ...rest]);
  };

  /** One element of a dimension, or all of them: those behind it move forward. */
  private readonly remove = (node: GraphNode): GraphNode => {
    const rank = this.shape(node.args[0]).length;
    const d = this.dimensionOf(node.args[0]) as number;
    const removed = (Number(node.args[1] ?? 0) + rank) % rank;
    if (removed === d) return this.refuse(node);
    return this.out(node, removed < d ? d - 1 : d);
  };

  private readonly insert = (node: GraphNode): GraphNode => {
    const rank = this.shape(node.args[0]).length + 1;
    const d = this.dimensionOf(node.args[0]) as number;
    return this.out(node, (Number(node.args[1]) + rank) % rank <= d ? d + 1 : d);
  };

  private readonly expand = (node: GraphNode): GraphNode => {
    const sizes = node.args[1] as Argument[];
    const d = (this.dimensionOf(node.args[0]) as number) + sizes.length - this.shape(node.args[0]).length;
    return this.out(node, d, [node.args[0] ?? null, sizes.map((size, i) => (i === d ? this.part(size, node) : size))]);
  };

  private readonly cat = (node: GraphNode): GraphNode => {
    const list = node.args[0] as Argument[];
    const [first, ...others] = list.map((a) => this.dimensionOf(a));
    const rank = this.shape(list[0]).length;
    const along = (Number(node.args[1] ?? 0) + rank) % rank;
    return first !== undefined && along !== first && others.every((d) => d === first) ? this.out(node, first) : this.refuse(node);
  };

  /** Means and norms over other dimensions, which stay. */
  private readonly reduce = (node: GraphNode): GraphNode => {
    const rank = this.shape(node.args[0]).length;
    const divided = this.dimensionOf(node.args[0]) as number;
    const over = node.op.startsWith('aten.mean')
      ? [node.args[1]].flat().map((d) => (Number(d) + rank) % rank)
      : [node.args[1]].flat().map((_, i) => rank - 1 - i);
    const kept = !node.op.startsWith('aten.mean') || node.args[2] === true;
    return over.includes(divided) || !kept ? this.refuse(node) : this.out(node, divided);
  };

  /** Rows of a divided vocabulary: what other devices hold comes with the sum over devices. */
  private readonly whole = (node: GraphNode): GraphNode => node;

  private readonly rules: Record<string, (node: GraphNode) => GraphNode> = {
    ...{ linear: this.linear, addmm: this.addmm, matmul: this.matmul, bmm: this.matmul, baddbmm: this.matmul },
    ...{ view: this.reshape, reshape: this.reshape, _unsafe_view: this.reshape, flatten: this.reshape, unflatten: this.reshape },
    ...{ transpose: this.transpose, permute: this.permute, split: this.split, chunk: this.split, split_with_sizes: this.split },
    ...{ slice: this.slice, narrow: this.slice, select: this.remove, unbind: this.remove, squeeze: this.remove },
    ...{ unsqueeze: this.insert, expand: this.expand, cat: this.cat, scaled_dot_product_attention: this.attention },
    ...{ mean: this.reduce, layer_norm: this.reduce, rms_norm: this.reduce },
    ...{ embedding: this.whole, cross_entropy_loss: this.whole, nll_loss: this.whole },
  };
}
