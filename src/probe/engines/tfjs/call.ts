/** One operator call of the graph: its arguments by position in the ATen schema, read as what the operator expects. */
import type { Tensor } from '@tensorflow/tfjs-core';
import type { Argument, GraphNode } from '../../../model/graph.js';
import { evaluateSize, type SymbolValues } from '../../../model/sizes.js';
import { plain, plainValue, shapeOf, type TF, type Value } from './value.js';

/** The engine cannot run this graph or setup; the message says what and why. */
export class UnsupportedError extends Error {
  override readonly name = 'UnsupportedError';
}

/** Names of what lives through a step (parameters, buffers, inputs, results) and their values. */
export interface Bindings {
  get(name: string): Value;
  /** Gives a buffer (running statistics, counters) its new contents. */
  updateBuffer(name: string, tensor: Tensor): void;
}

export type Operation = (call: Call) => Value | Value[];

export class Call {
  constructor(
    readonly tf: TF,
    readonly node: GraphNode,
    private readonly bindings: Bindings,
    private readonly symbols: SymbolValues,
  ) {}

  /** A tensor argument; a number becomes a scalar. */
  value(at: number | string): Value {
    return this.optionalValue(at) ?? this.fail(`argument ${at} is missing`);
  }

  optionalValue(at: number | string): Value | null {
    const argument = this.argument(at);
    if (argument === null) return null;
    if (typeof argument === 'string' && argument.startsWith('%')) return this.bindings.get(argument.slice(1));
    if (typeof argument === 'boolean') return plainValue(this.tf.scalar(argument, 'bool'));
    const number = this.number(at);
    return plainValue(this.tf.scalar(number, Number.isInteger(number) && Math.abs(number) < 2 ** 31 ? 'int32' : 'float32'));
  }

  /** A tensor argument in the graph's axis order. */
  tensor(at: number | string): Tensor {
    return plain(this.tf, this.value(at));
  }

  optionalTensor(at: number | string): Tensor | null {
    const value = this.optionalValue(at);
    return value && plain(this.tf, value);
  }

  /** A list of tensors; a missing element is null. */
  values(at: number): (Value | null)[] {
    const list = this.argument(at);
    if (!Array.isArray(list)) return this.fail(`argument ${at}: expected a list of tensors`);
    return list.map((item) => (typeof item === 'string' && item.startsWith('%') ? this.bindings.get(item.slice(1)) : null));
  }

  number(at: number | string, fallback?: number): number {
    return this.toNumber(this.argument(at) ?? fallback ?? null, at);
  }

  optionalNumber(at: number | string): number | null {
    const argument = this.argument(at);
    return argument === null ? null : this.toNumber(argument, at);
  }

  /** A list of integers; one integer stands for a list of one. */
  numbers(at: number | string, fallback?: number[]): number[] {
    const argument = this.argument(at) ?? fallback ?? null;
    return (Array.isArray(argument) ? argument : [argument]).map((item) => this.toNumber(item, at));
  }

  /** Height and width; one number stands for both. */
  pair(at: number, fallback: number | [number, number]): [number, number] {
    const list = this.numbers(at, Array.isArray(fallback) ? fallback : [fallback]);
    const [height, width] = list.length > 0 ? list : [fallback].flat();
    return [height as number, (width ?? height) as number];
  }

  flag(at: number | string, fallback = false): boolean {
    const argument = this.argument(at);
    return argument === null ? fallback : argument === true || argument === 1;
  }

  text(at: number | string, fallback: string | null = null): string | null {
    const argument = this.argument(at);
    return typeof argument === 'string' ? argument : fallback;
  }

  /** An axis, counted from the end when negative. */
  axis(at: number, rank: number, fallback?: number): number {
    const axis = this.number(at, fallback);
    return axis < 0 ? axis + rank : axis;
  }

  /** Name of the buffer that an argument is, to update it. */
  buffer(at: number): string | null {
    const argument = this.argument(at);
    return typeof argument === 'string' && argument.startsWith('%') ? argument.slice(1) : null;
  }

  updateBuffer(name: string, tensor: Tensor): void {
    this.bindings.updateBuffer(name, tensor);
  }

  has(at: number | string): boolean {
    return this.argument(at) !== null;
  }

  fail(reason: string): never {
    const where = this.node.module ? ` (in ${this.node.module})` : '';
    throw new UnsupportedError(`${this.node.op}${where}: ${reason}`);
  }

  private argument(at: number | string): Argument {
    return (typeof at === 'number' ? this.node.args[at] : this.node.kwargs?.[at]) ?? null;
  }

  private toNumber(argument: Argument, at: number | string): number {
    if (typeof argument === 'number') return argument;
    if (typeof argument === 'boolean') return Number(argument);
    if (typeof argument === 'string') {
      if (argument.startsWith('=')) return evaluateSize(argument.slice(1), this.symbols);
      if (argument.startsWith('%')) return this.fail(`argument ${at} is computed from data, which this engine does not follow`);
      const literal = { inf: Infinity, '-inf': -Infinity, Infinity, '-Infinity': -Infinity }[argument] ?? Number(argument);
      if (argument !== '' && !Number.isNaN(literal)) return literal;
    }
    return this.fail(`argument ${at}: expected a number, found ${JSON.stringify(argument)}`);
  }
}

/** `shape` with one -1 replaced by what the elements of `value` leave for it. */
export function inferShape(value: Value, shape: number[]): number[] {
  const known = shape.reduce((product, size) => (size === -1 ? product : product * size), 1);
  const elements = shapeOf(value).reduce((product, size) => product * size, 1);
  return shape.map((size) => (size === -1 ? elements / known : size));
}
