/**
 * Size expressions: integers over the symbols B, S, H and W with + - * // % and min() max(), read as Python reads
 * them (floor division and modulo round towards minus infinity). Parsed once, kept as a closure.
 */
import { UsageError } from '../errors.js';
import type { Size } from './graph.js';

export const SIZE_SYMBOLS = ['B', 'S', 'H', 'W'] as const;
export type SizeSymbol = (typeof SIZE_SYMBOLS)[number];
/** Values of the symbols; one that an expression uses must be there. */
export type SymbolValues = Partial<Record<SizeSymbol, number>>;

/** A parsed expression. */
export type SizeTree =
  | { kind: 'number'; value: number }
  | { kind: 'symbol'; name: string }
  | { kind: 'operation'; operator: '+' | '-' | '*' | '//' | '%' | 'min' | 'max'; operands: SizeTree[] };

type Compiled = (values: SymbolValues) => number;

const OPERATIONS: Record<string, (a: number, b: number) => number> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '//': (a, b) => Math.floor(a / b),
  '%': (a, b) => a - b * Math.floor(a / b),
  min: (a, b) => Math.min(a, b),
  max: (a, b) => Math.max(a, b),
};

const compiledSizes = new Map<string, Compiled>();

/** Value of `size` for the given symbols. Throws UsageError on a malformed expression, a missing symbol or a division by zero. */
export function evaluateSize(size: Size, values: SymbolValues): number {
  if (typeof size === 'number') return size;
  let compiled = compiledSizes.get(size);
  if (!compiled) {
    compiled = compile(parseSize(size), size);
    compiledSizes.set(size, compiled);
  }
  return compiled(values);
}

/** `evaluateSize` for fixed symbols, remembering each result: for walks over a whole graph. */
export function bindSizes(values: SymbolValues): (size: Size) => number {
  const known = new Map<string, number>();
  return (size) => {
    if (typeof size === 'number') return size;
    let value = known.get(size);
    if (value === undefined) {
      value = evaluateSize(size, values);
      known.set(size, value);
    }
    return value;
  };
}

/** Symbols that an expression uses. */
export function symbolsOf(size: Size): SizeSymbol[] {
  if (typeof size === 'number') return [];
  return SIZE_SYMBOLS.filter((name) => size.includes(name));
}

function compile(tree: SizeTree, text: string): Compiled {
  if (tree.kind === 'number') return () => tree.value;
  if (tree.kind === 'symbol') {
    const { name } = tree;
    return (values) => (values as Record<string, number>)[name] ?? fail(text, `the symbol ${name} has no value here`);
  }
  const operate = OPERATIONS[tree.operator] as (a: number, b: number) => number;
  const operands = tree.operands.map((operand) => compile(operand, text));
  const [left, right] = operands as [Compiled, Compiled];
  if (tree.operator === '//' || tree.operator === '%') {
    return (values) => operate(left(values), right(values) || fail(text, 'it divides by zero'));
  }
  if (operands.length === 2) return (values) => operate(left(values), right(values));
  return (values) => operands.map((operand) => operand(values)).reduce(operate);
}

/** Value of an expression over any names, not only the symbols. Throws UsageError like evaluateSize. */
export function evaluateExpression(text: string, values: Record<string, number>): number {
  return compile(parseSize(text, Object.keys(values)), text)(values as SymbolValues);
}

/** Reads an expression over `names`. Throws UsageError that shows the text and what was expected. */
export function parseSize(text: string, names: readonly string[] = SIZE_SYMBOLS): SizeTree {
  const tokens = text.match(/\d+|[A-Za-z_]\w*|\/\/|[-+*%(),]|\S/g) ?? [];
  let position = 0;

  const accept = (token: string): boolean => tokens[position] === token && ++position > 0;
  const expect = (token: string): void => {
    if (!accept(token)) fail(text, `expected "${token}", found ${found()}`);
  };
  const found = (): string => (position < tokens.length ? `"${tokens[position]}"` : 'the end');

  function sum(): SizeTree {
    let tree = product();
    for (;;) {
      if (accept('+')) tree = operation('+', tree, product());
      else if (accept('-')) tree = operation('-', tree, product());
      else return tree;
    }
  }

  function product(): SizeTree {
    let tree = factor();
    for (;;) {
      if (accept('*')) tree = operation('*', tree, factor());
      else if (accept('//')) tree = operation('//', tree, factor());
      else if (accept('%')) tree = operation('%', tree, factor());
      else return tree;
    }
  }

  function factor(): SizeTree {
    if (accept('-')) return operation('-', { kind: 'number', value: 0 }, factor());
    if (accept('(')) {
      const tree = sum();
      expect(')');
      return tree;
    }
    const token = tokens[position] ?? '';
    if (/^\d+$/.test(token)) {
      position++;
      return { kind: 'number', value: Number(token) };
    }
    if (token === 'min' || token === 'max') {
      position++;
      expect('(');
      const operands = [sum()];
      while (accept(',')) operands.push(sum());
      expect(')');
      return { kind: 'operation', operator: token, operands };
    }
    if (names.includes(token)) {
      position++;
      return { kind: 'symbol', name: token };
    }
    return fail(text, `expected a number, one of ${names.join(', ')}, min() or max(), found ${found()}`);
  }

  const tree = sum();
  if (position < tokens.length) fail(text, `expected an operator, found ${found()}`);
  return tree;
}

function operation(operator: '+' | '-' | '*' | '//' | '%', left: SizeTree, right: SizeTree): SizeTree {
  return { kind: 'operation', operator, operands: [left, right] };
}

function fail(text: string, problem: string): never {
  throw new UsageError('BAD_SIZE', `size "${text}": ${problem}`, 'a size is an integer or an expression such as "B*197" or "(H-1)//2+1"');
}
