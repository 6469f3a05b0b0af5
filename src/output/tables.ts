/** Tables for people: cli-table3 without colours, because it ignores NO_COLOR and whether anyone is watching. */
import { createRequire } from 'node:module';
import type TableConstructor from 'cli-table3';

export interface TableOptions {
  /** One entry a column; a column without one is left-aligned, or right-aligned when all its cells are figures. */
  align?: Array<'left' | 'right'>;
}

const FIGURE = /^[-+~≥≤<>]?\s*[0-9]/;

/** A table as text, without a newline at its end. */
export function table(head: string[], rows: string[][], options: TableOptions = {}): string {
  const colAligns = head.map((_, column) => options.align?.[column] ?? alignmentOf(rows.map((row) => row[column] ?? '')));
  // loaded here, because --json can do without
  const Table: typeof TableConstructor = createRequire(import.meta.url)('cli-table3');
  const sheet = new Table({
    head,
    colAligns,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 1 },
    chars: BORDERS,
  });
  sheet.push(...rows);
  return sheet
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

function alignmentOf(cells: string[]): 'left' | 'right' {
  const filled = cells.filter((cell) => cell !== '' && cell !== '-');
  return filled.length > 0 && filled.every((cell) => FIGURE.test(cell)) ? 'right' : 'left';
}

/** No lines: a table without them pastes well into logs and issues. */
const LINES = 'top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left left-mid right right-mid mid mid-mid';
const BORDERS = { ...Object.fromEntries(LINES.split(' ').map((line) => [line, ''])), middle: ' ' };
