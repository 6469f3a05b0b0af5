/** Comma-separated text (also semicolons and tabs), with quotes: the little that training logs need. */
import { UsageError } from '../errors.js';

export interface Sheet {
  header: string[];
  /** One array a line, as long as the header; missing cells are "". */
  rows: string[][];
}

const SEPARATORS = [',', ';', '\t'];

/** Reads text with a header line. Throws UsageError naming the file when there is no header or no row. */
export function parseSheet(text: string, file: string): Sheet {
  const lines = text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '');
  const first = lines[0];
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what no text has
  if (/[\u0000-\u0008\uFFFD]/.test(text.slice(0, 4096))) {
    throw new UsageError('BAD_LOG', `${file}: binary content, expected a table as text`, 'name the CSV file that holds the log');
  }
  if (first === undefined) throw new UsageError('EMPTY_LOG', `${file}: the file is empty`, 'give a log with a header line and rows');
  const separator = SEPARATORS.reduce((best, next) => (first.split(next).length > first.split(best).length ? next : best));
  const header = splitLine(first, separator);
  const rows = lines.slice(1).map((line) => {
    const cells = splitLine(line, separator);
    return header.map((_, column) => cells[column] ?? '');
  });
  if (rows.length === 0)
    throw new UsageError('EMPTY_LOG', `${file}: there is a header line and no row`, 'wait until the run has logged something');
  return { header, rows };
}

function splitLine(line: string, separator: string): string[] {
  const cells: string[] = [];
  let cell = '';
  let quoted = false;
  for (let index = 0; index < line.length; index++) {
    const character = line[index]!;
    if (quoted && character === '"' && line[index + 1] === '"') cell += line[++index];
    else if (character === '"') quoted = !quoted;
    else if (character === separator && !quoted) {
      cells.push(cell.trim());
      cell = '';
    } else cell += character;
  }
  return [...cells, cell.trim()];
}

/** A cell as a number, with the words of Python and of C for what is not finite; null when it is empty or no number. */
export function numberOf(cell: string): number | null {
  const text = cell.trim().toLowerCase();
  if (text === '') return null;
  if (/^[-+]?nan(\(ind\))?$/.test(text)) return Number.NaN;
  if (/^[-+]?inf(inity)?$/.test(text)) return text.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  const value = Number(text);
  return Number.isNaN(value) ? null : value;
}
