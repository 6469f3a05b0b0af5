import { describe, expect, it } from 'vitest';
import { MissingError, UndeterminedError, UsageError } from '../../src/errors.js';
import { toFailure } from '../../src/output/failure.js';
import { Interrupted } from '../../src/output/interruption.js';

describe('toFailure', () => {
  it.each([
    [new UsageError('BAD', 'file: field', 'do this'), 2],
    [new MissingError('GONE', 'no engine', 'install it'), 3],
    [new UndeterminedError('UNSURE', 'no idea', 'try again'), 4],
  ])('keeps our own errors: %s', (error, exitCode) => {
    expect(toFailure(error)).toEqual({ code: error.code, message: error.message, hint: error.hint, exitCode, stack: null });
  });

  it('takes oclif’s frame off the message of a flag’s own parser', () => {
    const error = new UsageError('BAD', 'Parsing --seq \n\t--seq: expected a number\nSee more help with --help');
    expect(toFailure(error).message).toBe('--seq: expected a number');
  });

  it('calls everything unforeseen a bug, with its first line and its stack for -v', () => {
    const error = new TypeError('x is not a function\nsecond line');
    expect(toFailure(error)).toMatchObject({
      code: 'BUG',
      message: 'this is a bug in batchfit: x is not a function',
      exitCode: 70,
      stack: error.stack,
    });
    expect(toFailure('thrown text')).toMatchObject({ code: 'BUG', message: 'this is a bug in batchfit: thrown text', exitCode: 70 });
    expect(toFailure(undefined)).toMatchObject({ code: 'BUG', exitCode: 70 });
  });

  it('gives signals the shell’s exit codes', () => {
    expect(toFailure(new Interrupted('SIGINT'))).toMatchObject({ code: 'INTERRUPTED', exitCode: 130, stack: null });
    expect(toFailure(new Interrupted('SIGTERM'))).toMatchObject({ exitCode: 143 });
  });
});
