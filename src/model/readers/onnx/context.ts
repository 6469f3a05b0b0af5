/** What the operators of an ONNX graph work with: values, weights, known numbers, and what the node says. */
import { UsageError } from '../../../errors.js';
import type { GraphBuilder, Value } from '../../builder.js';
import type { Buffer, DType, Parameter } from '../../graph.js';
import type { ModelOptions } from '../../options.js';
import type { Document, Node, Tensor } from './document.js';
import { type Known, vector } from './known.js';

/** What a name of the graph stands for: a tensor of the training graph, numbers that are known, a weight not used yet. */
export interface Entry {
  value?: Value | undefined;
  known?: Known | undefined;
  initializer?: Tensor | undefined;
  dtype: DType;
}

export class Context {
  /** Weights under the names that the file gives them, whatever module reads them first. */
  readonly parameters: Parameter[] = [];
  readonly buffers: Buffer[] = [];
  readonly entries = new Map<string, Entry>();
  /** Nodes that a pattern of several has taken already. */
  readonly taken = new Set<Node>();
  readonly makers = new Map<string, Node>();
  readonly users = new Map<string, Node[]>();
  /** Names that are made of constants and shapes alone. */
  private readonly constant = new Map<string, boolean>();

  constructor(
    readonly g: GraphBuilder,
    readonly document: Document,
    readonly file: string,
    readonly options: ModelOptions,
    /** The batch of the export where it is a number, else null. */
    readonly fixedBatch: number | null,
  ) {
    for (const node of document.nodes) {
      for (const output of node.outputs) if (output !== '') this.makers.set(output, node);
      for (const input of node.inputs) this.users.set(input, [...(this.users.get(input) ?? []), node]);
    }
    for (const [name, tensor] of document.initializers) {
      const known = tensor.values ? { shape: tensor.shape, values: tensor.values } : undefined;
      this.entries.set(name, { initializer: tensor, known, dtype: tensor.dtype });
    }
  }

  entry(name: string, node: Node): Entry {
    const found = this.entries.get(name);
    if (!found) throw this.fail(node, `reads "${name}", which nothing before it makes`);
    return found;
  }

  has(node: Node, index: number): boolean {
    return (node.inputs[index] ?? '') !== '';
  }

  /** An input as a tensor: a weight where it is an initializer of floats, else a buffer. */
  tensor(node: Node, index: number): Value {
    const name = node.inputs[index] ?? '';
    const entry = this.entry(name, node);
    if (entry.value) return entry.value;
    if (entry.initializer) entry.value = this.weight(entry.initializer);
    else if (entry.known) entry.value = this.hold(name, entry.known.shape, entry.dtype, false);
    if (!entry.value) throw this.fail(node, `expected a tensor as input ${index} ("${name}")`);
    return entry.value;
  }

  optional(node: Node, index: number): Value | null {
    return this.has(node, index) ? this.tensor(node, index) : null;
  }

  /**
   * What of the file is trained: an initializer of floats with more than one element that an operator reads as a tensor
   * (kernels, matrices, biases, scales, embeddings, learned positions). Single numbers, integers and moving statistics are not.
   */
  private weight({ name, shape, dtype }: Tensor): Value {
    const count = shape.reduce((product, extent) => product * extent, 1);
    return this.hold(name, shape, dtype, dtype === 'model' && (count > 1 || shape.length > 1));
  }

  /** A weight or a constant of the training graph. */
  hold(given: string, shape: number[], dtype: DType, trained: boolean): Value {
    // A bare word could be the name of an operator's result.
    const name = /^\w+$/.test(given) ? `${given}.value` : given;
    if (trained) this.parameters.push({ name, shape });
    else this.buffers.push({ name, shape, dtype });
    return { name, shape, dtype };
  }

  /** The parameters in the order of the file's initializers, which is that of the module. */
  inOrder(): Parameter[] {
    const ranks = new Map([...this.document.initializers.keys()].map((name, index) => [name, index] as const));
    const rank = ({ name }: Parameter): number => ranks.get(name) ?? ranks.get(name.replace(/\.value$/, '')) ?? ranks.size;
    return [...this.parameters].sort((a, b) => rank(a) - rank(b));
  }

  /** An initializer as a moving statistic. */
  statistic(node: Node, index: number): Value {
    const entry = this.entry(node.inputs[index] ?? '', node);
    if (entry.initializer && !entry.value) entry.value = this.hold(entry.initializer.name, entry.initializer.shape, entry.dtype, false);
    return this.tensor(node, index);
  }

  /** An initializer that no node has read as a tensor yet. */
  unread(name: string): Tensor | undefined {
    const entry = this.entries.get(name);
    return entry && !entry.value ? entry.initializer : undefined;
  }

  known(node: Node, index: number): Known | undefined {
    return this.has(node, index) ? this.entry(node.inputs[index] as string, node).known : undefined;
  }

  /** Known whole numbers, from an input or an attribute of that name. Throws where they depend on data. */
  sizes(node: Node, index: number, attribute?: string): Known['values'] | undefined {
    const given = attribute === undefined ? undefined : node.attributes.get(attribute);
    if (Array.isArray(given)) return given as number[];
    if (typeof given === 'number') return [given];
    if (!this.has(node, index)) return undefined;
    const known = this.known(node, index);
    if (!known)
      throw this.fail(node, `input ${index} ("${node.inputs[index]}") depends on data`, 'export with fixed sizes beside the batch');
    return known.values;
  }

  integers(node: Node, index: number, attribute?: string): number[] | undefined {
    const values = this.sizes(node, index, attribute);
    if (values?.some((value) => typeof value !== 'number')) throw this.fail(node, 'expected whole numbers, found a size of the batch');
    return values as number[] | undefined;
  }

  number(node: Node, attribute: string, fallback: number): number {
    const value = node.attributes.get(attribute);
    return typeof value === 'number' ? value : fallback;
  }

  text(node: Node, attribute: string, fallback: string): string {
    const value = node.attributes.get(attribute);
    return typeof value === 'string' ? value : fallback;
  }

  list(node: Node, attribute: string): number[] | undefined {
    const value = node.attributes.get(attribute);
    return Array.isArray(value) ? (value as number[]) : undefined;
  }

  setValue(node: Node, value: Value, index = 0): void {
    this.entries.set(node.outputs[index] as string, { value, dtype: value.dtype });
  }

  setKnown(node: Node, known: Known, dtype: DType): void {
    this.entries.set(node.outputs[0] as string, { known, dtype });
  }

  /** The shape of an input, known without the tensor being one of the graph. */
  shapeOf(node: Node, index: number): Known {
    const { value, known, initializer } = this.entry(node.inputs[index] ?? '', node);
    return vector(value?.shape ?? known?.shape ?? initializer?.shape ?? []);
  }

  /** The only node that reads a value which is no output of the graph. */
  onlyUser(name: string): Node | undefined {
    const users = this.users.get(name) ?? [];
    return users.length === 1 && !this.document.outputs.some((port) => port.name === name) ? users[0] : undefined;
  }

  isConstant(name: string): boolean {
    const before = this.constant.get(name);
    if (before !== undefined) return before;
    const maker = this.makers.get(name);
    const found = maker
      ? maker.op === 'Shape' ||
        maker.op === 'Constant' ||
        (maker.inputs.length > 0 && maker.inputs.every((each) => each === '' || this.isConstant(each)))
      : this.document.initializers.get(name)?.values?.length === 1;
    this.constant.set(name, found);
    return found;
  }

  fail(node: Node, problem: string, hint = '', code = 'BAD_MODEL'): UsageError {
    const name = node.name || node.outputs[0] || '';
    return new UsageError(
      code,
      `${this.file}: node "${name}" (${node.op}): ${problem}`,
      hint || 'export the model again, or export it with batchfit trace',
    );
  }
}

/** What an operator does: it sets its outputs in the context. */
export type Operator = (c: Context, node: Node) => void;
