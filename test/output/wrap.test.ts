import { describe, expect, it } from 'vitest';
import { wrap, wrapFor } from '../../src/output/wrap.js';

describe('wrap', () => {
  it('goes on below the text of a label, or indented', () => {
    expect(wrap('rate   one two three four', 16)).toBe('rate   one two\n       three\n       four');
    expect(wrap('  batch: one two three four', 18)).toBe('  batch: one two\n    three four');
    expect(wrap('short\none two three', 8)).toBe('short\none two\n  three');
  });
  it('leaves words, tables and everything that is no terminal alone', () => {
    expect(wrap('aaaaaaaaaaaaaaaaaaaa', 8)).toBe('aaaaaaaaaaaaaaaaaaaa');
    expect(wrap('a  b  ccccccccccc', 8)).toBe('a  b  ccccccccccc');
    expect(wrapFor({ columns: 8 }, 'one two three')).toBe('one two three');
    expect(wrapFor({ isTTY: true, columns: 8 }, 'one two three')).toBe('one two\n  three');
  });
});
