/** Turns whatever was thrown into the contract's error: a code, one clear message, a hint and an exit code. */
import { BatchfitError } from '../errors.js';
import { nearestNames } from '../nearest.js';
import { Interrupted } from './interruption.js';

export interface Failure {
  code: string;
  message: string;
  hint: string;
  exitCode: number;
  /** For people who run with -v; only a bug has one. */
  stack: string | null;
}

/** Reads an error of ours, of oclif's parser, or an unforeseen one, which is a bug: exit 70. */
export function toFailure(error: unknown): Failure {
  if (error instanceof BatchfitError) {
    return { code: error.code, message: withoutParserFrame(error.message), hint: error.hint, exitCode: error.exitCode, stack: null };
  }
  if (error instanceof Interrupted) {
    return { code: 'INTERRUPTED', message: error.message, hint: '', exitCode: error.exitCode, stack: null };
  }
  if (isParserError(error)) return { ...explain(error), exitCode: 2, stack: null };
  if (isRefusedByDisk(error)) {
    return {
      code: 'BAD_OUTPUT',
      message: `standard output: could not write: ${error.code}`,
      hint: 'free some space, or write elsewhere',
      exitCode: 2,
      stack: null,
    };
  }
  const cause = error instanceof Error ? error : new Error(String(error));
  return {
    code: 'BUG',
    message: `this is a bug in batchfit: ${firstLine(cause.message) || cause.name}`,
    hint: 'please report it with the command and what it prints with -v',
    exitCode: 70,
    stack: cause.stack ?? null,
  };
}

function isRefusedByDisk(error: unknown): error is NodeJS.ErrnoException {
  if (!(error instanceof Error)) return false;
  const { syscall, code = '' }: NodeJS.ErrnoException = error;
  return syscall === 'write' && ['ENOSPC', 'EDQUOT', 'EIO', 'EFBIG'].includes(code);
}

/** The shapes of oclif's parser errors, known by their class names: importing the classes would slow every start. */
interface ParserError extends Error {
  oclif: unknown;
  flags?: string[];
  args?: unknown[];
  parse?: { input?: { flags?: Record<string, unknown> } };
}

function isParserError(error: unknown): error is ParserError {
  return error instanceof Error && 'oclif' in error;
}

function explain(error: ParserError): Pick<Failure, 'code' | 'message' | 'hint'> {
  const message = plain(error.message);
  const hint = 'run the command with --help for its arguments and flags';
  switch (error.constructor.name) {
    case 'NonExistentFlagsError': {
      const unknown = error.flags ?? [];
      const known = Object.keys(error.parse?.input?.flags ?? {}).map((name) => `--${name}`);
      const near = unknown.flatMap((flag) => nearestNames(flag, known, 1));
      return {
        code: 'UNKNOWN_FLAG',
        message: `unknown flag: ${unknown.join(', ')}`,
        hint: near.length > 0 ? `did you mean ${near.join(', ')}?` : hint,
      };
    }
    case 'UnexpectedArgsError':
      return { code: 'UNEXPECTED_ARGUMENT', message: `unexpected argument: ${(error.args ?? []).join(', ')}`, hint };
    case 'RequiredArgsError': {
      const names = (error.args ?? []).map((argument) => (argument as { name: string }).name.toUpperCase());
      return { code: 'MISSING_ARGUMENT', message: `missing argument: ${names.join(', ')}`, hint };
    }
    case 'FailedFlagValidationError':
    case 'ViolatedFlagConstraintError': {
      const missing = [...message.matchAll(/missing required flag (\S+?)(?:;|$)/gi)].map(([, name]) => `--${name}`);
      if (missing.length > 0) return { code: 'MISSING_FLAG', message: `missing ${missing.join(', ')}`, hint };
      const [, needed, flag] = /must be provided when using (--\S+): (--.*)$/.exec(message) ?? [];
      if (needed) return { code: 'BAD_USAGE', message: `${needed}: needs ${flag} beside it`, hint };
      break;
    }
    case 'FlagInvalidOptionError':
    case 'ArgInvalidOptionError': {
      const match = /^Expected (?:(--[\w-]+)=)?(.*) to be one of: (.*)$/s.exec(message);
      if (!match) break;
      const [, field = 'argument', found, options] = match;
      return { code: 'BAD_OPTION', message: `${field}: expected one of ${options}, found "${found}"`, hint };
    }
  }
  return { code: 'BAD_USAGE', message: message.replace(/^./, (letter) => letter.toLowerCase()), hint };
}

/** oclif wraps the message of a flag's own parser in two lines of its own. */
function withoutParserFrame(message: string): string {
  return message.replace(/^Parsing --\S+\s+/, '').replace(/\nSee more help with --help$/, '');
}

/** One line without oclif's colours and headings. */
function plain(message: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: an escape sequence begins with one
  const text = withoutParserFrame(message).replace(/\u001b\[[0-9;]*m/g, '');
  return text.replace(/^The following errors? occurred:\s*/, '').replace(/\s*\n\s*/g, '; ');
}

function firstLine(message: string): string {
  return message.split('\n', 1)[0] ?? '';
}
