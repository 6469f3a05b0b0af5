/**
 * Arithmetic on sizes that keeps them short and canonical: every result is a polynomial with collected terms, so that
 * equal sizes are equal strings. Floor divisions that don't cancel, modulos, min and max stay as atoms of it.
 */
import type { Size } from './graph.js';
import { parseSize, type SizeTree } from './sizes.js';

/** Coefficient by monomial; a monomial is its sorted atoms joined by "*", "" for the constant. */
type Polynomial = Map<string, number>;

/** A floor division by a constant that stayed an atom: text -> what was divided, by what. */
const quotients = new Map<string, { dividend: Polynomial; divisor: number }>();
const polynomials = new Map<string, Polynomial>();
/** Results by their operation's text: a model asks for the same few again and again. */
const results = new Map<string, Size>();

function remember(key: string, compute: () => Polynomial): Size {
  let known = results.get(key);
  if (known === undefined) {
    known = print(compute());
    results.set(key, known);
  }
  return known;
}

/** Sum of sizes. */
export function plus(...sizes: Size[]): Size {
  if (sizes.every((size) => typeof size === 'number')) return sizes.reduce((a, b) => a + b, 0);
  return remember(`+${sizes.join('|')}`, () => sizes.map(polynomial).reduce(add));
}

/** `a - b`. */
export function minus(a: Size, b: Size): Size {
  return plus(a, times(b, -1));
}

/** Product of sizes; 1 for none. */
export function times(...sizes: Size[]): Size {
  if (sizes.every((size) => typeof size === 'number')) return sizes.reduce((a, b) => a * b, 1);
  return remember(`*${sizes.join('|')}`, () => sizes.map(polynomial).reduce(multiply));
}

/** `a // b`, exact where the terms divide: (4*H+2)//2 is 2*H+1, ((H+1)//2+1)//2 is (H+3)//4. */
export function floorDivide(a: Size, b: Size): Size {
  if (typeof a === 'number' && typeof b === 'number') return Math.floor(a / b);
  if (b === 1) return a;
  return remember(`/${a}|${b}`, () =>
    typeof b === 'number' ? divide(polynomial(a), b) : (cancel(polynomial(a), polynomial(b)) ?? atom(`((${a})//(${b}))`)),
  );
}

/** `a % b`, 0 where every term of `a` is a multiple of the number `b`. */
export function modulo(a: Size, b: number): Size {
  if (typeof a === 'number') return a - b * Math.floor(a / b);
  const rest = new Map([...polynomial(a)].map(([key, count]) => [key, remainder(count, b)]));
  const constant = print(rest);
  return typeof constant === 'number' ? constant : print(atom(`((${constant})%${b})`));
}

/** The canonical form of a size. */
export function simplify(size: Size): Size {
  return typeof size === 'number' ? size : print(polynomial(size));
}

function polynomial(size: Size): Polynomial {
  if (typeof size === 'number') return new Map([['', size]]);
  let known = polynomials.get(size);
  if (!known) {
    known = expand(parseSize(size));
    polynomials.set(size, known);
  }
  return known;
}

function expand(tree: SizeTree): Polynomial {
  if (tree.kind === 'number') return new Map([['', tree.value]]);
  if (tree.kind === 'symbol') return atom(tree.name);
  const operands = tree.operands.map(expand);
  const [left, right] = operands as [Polynomial, Polynomial];
  switch (tree.operator) {
    case '+':
      return add(left, right);
    case '-':
      return add(left, multiply(right, new Map([['', -1]])));
    case '*':
      return multiply(left, right);
    case '//':
      return polynomial(floorDivide(print(left), print(right)));
    case '%': {
      const divisor = print(right);
      return typeof divisor === 'number' ? polynomial(modulo(print(left), divisor)) : atom(`((${print(left)})%(${divisor}))`);
    }
    default: {
      const parts = operands.map(print);
      if (parts.every((part) => typeof part === 'number')) return new Map([['', Math[tree.operator](...parts)]]);
      return atom(`${tree.operator}(${parts.join(',')})`);
    }
  }
}

function atom(text: string): Polynomial {
  return new Map([[text, 1]]);
}

function add(a: Polynomial, b: Polynomial): Polynomial {
  const total = new Map(a);
  for (const [key, count] of b) total.set(key, (total.get(key) ?? 0) + count);
  return total;
}

function multiply(a: Polynomial, b: Polynomial): Polynomial {
  const total: Polynomial = new Map();
  for (const [first, count] of a) {
    for (const [second, factor] of b) {
      const key = [...factors(first), ...factors(second)].sort(byName).join('*');
      total.set(key, (total.get(key) ?? 0) + count * factor);
    }
  }
  return total;
}

/** Atoms of a monomial; a "*" inside brackets belongs to its atom. */
function factors(monomial: string): string[] {
  if (monomial === '') return [];
  if (!monomial.includes('(')) return monomial.split('*');
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let index = 0; index < monomial.length; index++) {
    const letter = monomial[index];
    if (letter === '(') depth++;
    else if (letter === ')') depth--;
    else if (letter === '*' && depth === 0) {
      parts.push(monomial.slice(start, index));
      start = index + 1;
    }
  }
  return [...parts, monomial.slice(start)];
}

/** floor((k*P + R) / k) = P + floor(R / k), and floor((x//a + c) / k) = floor((x + a*c) / (a*k)). */
function divide(dividend: Polynomial, divisor: number): Polynomial {
  const whole: Polynomial = new Map();
  const rest: Polynomial = new Map();
  for (const [key, count] of dividend) {
    const left = remainder(count, divisor);
    whole.set(key, (count - left) / divisor);
    if (left !== 0) rest.set(key, left);
  }
  const terms = [...rest.keys()].filter((key) => key !== '');
  if (terms.length === 0) return whole;
  const inner = terms.length === 1 && rest.get(terms[0] as string) === 1 ? quotients.get(terms[0] as string) : undefined;
  if (inner) {
    const shifted = add(inner.dividend, new Map([['', inner.divisor * (rest.get('') ?? 0)]]));
    return add(whole, divide(shifted, inner.divisor * divisor));
  }
  const text = `${wrap(print(rest))}//${divisor}`;
  // In brackets: without them a product with another atom would be divided as a whole.
  const name = `(${text})`;
  quotients.set(name, { dividend: rest, divisor });
  return add(whole, atom(name));
}

/** a / b where both are one term and b's atoms are all in a. */
function cancel(a: Polynomial, b: Polynomial): Polynomial | null {
  const [divisor, ...others] = [...b].filter(([, count]) => count !== 0);
  if (!divisor || others.length > 0) return null;
  const result: Polynomial = new Map();
  for (const [key, count] of a) {
    if (count === 0) continue;
    const left = factors(key);
    for (const factor of factors(divisor[0])) {
      const index = left.indexOf(factor);
      if (index < 0) return null;
      left.splice(index, 1);
    }
    if (count % divisor[1] !== 0) return null;
    result.set(left.join('*'), count / divisor[1]);
  }
  return result;
}

function print(value: Polynomial): Size {
  let text = '';
  for (const [key, count] of [...value].filter(([, size]) => size !== 0).sort(byDegree)) {
    const size = Math.abs(count);
    const term = key === '' ? `${size}` : size === 1 ? key : `${size}*${key}`;
    text += count < 0 ? `-${term}` : text === '' ? term : `+${term}`;
  }
  if (/^-?\d*$/.test(text)) return Number(text);
  if (!polynomials.has(text)) polynomials.set(text, value);
  return text;
}

function wrap(size: Size): string {
  return /^\w+$/.test(`${size}`) ? `${size}` : `(${size})`;
}

function remainder(value: number, divisor: number): number {
  return value - divisor * Math.floor(value / divisor);
}

function byName(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Terms of higher degree first, the constant last. */
function byDegree([a]: [string, number], [b]: [string, number]): number {
  return factors(b).length - factors(a).length || byName(a, b);
}
