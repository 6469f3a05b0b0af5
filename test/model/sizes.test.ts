import { describe, expect, it } from 'vitest';
import { floorDivide, minus, modulo, plus, simplify, times } from '../../src/model/arithmetic.js';
import { bindSizes, evaluateSize, symbolsOf } from '../../src/model/sizes.js';

describe('evaluateSize', () => {
  it.each([
    [197, {}, 197],
    ['B*197', { B: 4 }, 788],
    ['(H-1)//2+1', { H: 224 }, 112],
    ['-7//2', {}, -4],
    ['-7%3', {}, 2],
    ['2*B-S*3+1', { B: 5, S: 2 }, 5],
    ['B*H//2%5', { B: 3, H: 5 }, 2],
    ['min(S, 512, H)+max(1,B)', { S: 700, H: 600, B: 2 }, 514],
    ['-(B+1)*2', { B: 1 }, -4],
  ] as const)('%s with %o is %i', (size, symbols, expected) => {
    expect(evaluateSize(size, symbols)).toBe(expected);
    expect(bindSizes(symbols)(size)).toBe(expected);
  });

  it.each([
    ['B*', 'expected a number'],
    ['B+Q', 'found "Q"'],
    ['(B', 'expected ")"'],
    ['B B', 'expected an operator'],
    ['', 'found the end'],
    ['B**2', 'found "*"'],
    ['1.5', 'found "."'],
    ['S+1', 'the symbol S has no value'],
    ['B//(B-1)', 'it divides by zero'],
  ])('%s is refused: %s', (size, message) => {
    expect(() => evaluateSize(size, { B: 1 })).toThrow(message);
  });

  it('names the symbols of an expression', () => {
    expect(symbolsOf('B*max(1,(H-1)//2)')).toEqual(['B', 'H']);
    expect(symbolsOf(7)).toEqual([]);
  });
});

describe('arithmetic', () => {
  it('folds constants and collects terms', () => {
    expect(times(3, 4)).toBe(12);
    expect(plus('B', 'B', 1, -1)).toBe('2*B');
    expect(minus(times('B', 'S'), times('S', 'B'))).toBe(0);
    expect(times(plus('B', 1), plus('B', -1))).toBe('B*B-1');
    expect(simplify('(S+1)*2 - 2')).toBe('2*S');
  });

  it('divides exactly where it can', () => {
    expect(floorDivide(plus(times(4, 'H'), 2), 2)).toBe('2*H+1');
    expect(floorDivide(floorDivide(plus('H', 1), 2), 2)).toBe('((H+1)//4)');
    expect(floorDivide(times('B', 'S', 768), times('B', 'S'))).toBe(768);
    expect(floorDivide(times('B', 'S', 768), times('B', 'S', 64))).toBe(12);
    expect(modulo(times('S', 64), 32)).toBe(0);
  });

  it('keeps the value of what it rewrites', () => {
    const sizes = ['(H+6-7)//2+1', '((H-1)//2+1+2-3)//2+1', '(B*S*5+7)//3%4', 'B*(S//(B+1))+min(H,S)*2', '(3*H//2+1)//4', '(B+S)%3*2'];
    for (const size of sizes) {
      const rewritten = plus(floorDivide(size, 2), times(2, size), modulo(size, 3));
      for (let value = 1; value < 60; value++) {
        const symbols = { B: (value % 7) + 1, S: value * 3, H: value + 5 };
        const direct = evaluateSize(size, symbols);
        const expected = Math.floor(direct / 2) + 2 * direct + (((direct % 3) + 3) % 3);
        expect(evaluateSize(rewritten, symbols), `${size} -> ${rewritten}`).toBe(expected);
      }
    }
  });

  it('gives equal sizes one spelling', () => {
    let size: number | string = 'H';
    for (let level = 0; level < 5; level++) size = plus(floorDivide(minus(size, 1), 2), 1);
    expect(size).toBe('((H+31)//32)');
  });
});
