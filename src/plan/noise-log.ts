/** A log of squared gradient norms, two columns a step. */
import { UsageError } from '../errors.js';
import { numberOf, parseSheet } from './csv.js';
import type { NormSample } from './noise.js';

export const NORM_COLUMNS = ['small_sq_norm', 'big_sq_norm'] as const;

/** Reads `small_sq_norm,big_sq_norm` rows; others are ignored. Throws UsageError naming the file, line and column. */
export function parseNormLog(text: string, file: string): NormSample[] {
  const { header, rows } = parseSheet(text, file);
  const [small, big] = NORM_COLUMNS.map((name) => {
    const column = header.findIndex((title) => title.toLowerCase() === name);
    if (column === -1) {
      throw new UsageError(
        'BAD_LOG',
        `${file}: expected a column ${name}, found ${header.join(', ')}`,
        `the header line is ${NORM_COLUMNS.join(',')}`,
      );
    }
    return column;
  }) as [number, number];
  return rows.flatMap((row, index) => {
    const [a, b] = [row[small]!, row[big]!];
    if (a === '' && b === '') return [];
    const sample = { small: readNorm(a, file, index, NORM_COLUMNS[0]), big: readNorm(b, file, index, NORM_COLUMNS[1]) };
    return [sample];
  });
}

function readNorm(cell: string, file: string, row: number, column: string): number {
  const value = numberOf(cell);
  if (value === null || value < 0) {
    throw new UsageError(
      'BAD_LOG',
      `${file}: line ${row + 2}, column ${column}: expected a squared norm, found "${cell}"`,
      'squared norms are numbers of at least 0',
    );
  }
  return value;
}
