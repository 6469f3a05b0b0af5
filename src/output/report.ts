/** Where text goes: answers to stdout, everything else to stderr. */
import { readFileSync } from 'node:fs';
import type { Warning } from '../errors.js';
import { toFailure } from './failure.js';
import { toJson } from './json.js';
import { wrapFor } from './wrap.js';

/** Whether the words of a command line, up to `--`, ask for JSON: known before they are parsed, because that may fail. */
export function wantsJson(argv: string[]): boolean {
  const end = argv.indexOf('--');
  return (end === -1 ? argv : argv.slice(0, end)).includes('--json');
}

/** `verbatim` text is for a program or a file: its lines stay as they are. */
export function printText(text: string, verbatim = false): void {
  const lines = verbatim ? text : wrapFor(process.stdout, text);
  process.stdout.write(lines.endsWith('\n') ? lines : `${lines}\n`);
}

/** One line a warning, and one for what cures it. */
export function printWarnings(warnings: Warning[]): void {
  for (const { message, hint } of warnings) printNote('warning', message, hint);
}

export interface ReportOptions {
  json: boolean;
  verbose: boolean;
  /** The variable or file and key that a flag is from, for messages that begin with the flag. */
  origins?: ReadonlyMap<string, string>;
}

/** Prints a failure once, as a document where JSON was asked for and always as a line on stderr, and sets the exit code. */
export function reportFailure(error: unknown, options: ReportOptions): void {
  const { code, hint, exitCode, stack, ...failure } = toFailure(error);
  const message = failure.message.replace(/^--([\w-]+)/, (flag, name) => options.origins?.get(name) ?? flag);
  if (options.json) {
    process.stdout.write(toJson({ schema: 'batchfit/error@1', version: packageVersion(), error: { code, message, hint }, warnings: [] }));
  }
  printNote('error', message, hint);
  if (options.verbose && stack !== null) process.stderr.write(`${stack}\n`);
  process.exitCode ||= exitCode;
}

/** Read here and not taken from oclif, because oclif itself may have failed. */
function packageVersion(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
}

function printNote(kind: 'warning' | 'error', message: string, hint: string): void {
  process.stderr.write(wrapFor(process.stderr, `${kind}: ${message}\n${hint === '' ? '' : `hint: ${hint}\n`}`));
}
