/** Reads what users type as flag values; each throws UsageError naming the flag, what was found and what was expected. */
import { UsageError } from '../../errors.js';

/** Above every real batch, data set and step count, and far below where whole numbers stop being exact. */
const LARGEST_COUNT = 1e15;

/** A whole number of at least `least`. */
export function parseCount(text: string, field: string, least = 1): number {
  const value = /^\s*[0-9]+\s*$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= LARGEST_COUNT)) {
    const expected = `a whole number from ${least} to ${LARGEST_COUNT}`;
    throw new UsageError('BAD_NUMBER', `${field}: expected ${expected}, found "${text}"`, 'write plain digits, such as 32');
  }
  return value;
}

/** A finite number above 0, such as `0.1` or `1e-4`. */
export function parsePositive(text: string, field: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!(value > 0 && Number.isFinite(value))) {
    throw new UsageError('BAD_NUMBER', `${field}: expected a number above 0, found "${text}"`, 'write a number such as 0.1 or 1e-4');
  }
  return value;
}

/** `224` or `224x192` as height and width in pixels. */
export function parseImage(text: string, field: string): [height: number, width: number] {
  const match = /^\s*([0-9]{1,6})(?:x([0-9]{1,6}))?\s*$/i.exec(text);
  const height = Number(match?.[1]);
  const width = Number(match?.[2] ?? match?.[1]);
  if (!(height > 0 && width > 0)) {
    throw new UsageError(
      'BAD_IMAGE',
      `${field}: expected a size such as 224 or 224x192, found "${text}"`,
      'write pixels: height, or height x width',
    );
  }
  return [height, width];
}

/** Names parted by commas. */
export function parseList(text: string, field: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.includes('')) {
    throw new UsageError('BAD_LIST', `${field}: expected names parted by commas, found "${text}"`, 'write names such as q_proj,v_proj');
  }
  return names;
}

/** `NAME=VALUE` in two, without a value where there is no `=`; null where either is empty or there are more. */
export function splitPair(entry: string): [name: string, value: string | undefined] | null {
  const [name = '', value, ...rest] = entry.split('=').map((part) => part.trim());
  return name === '' || value === '' || rest.length > 0 ? null : [name, value];
}
