/** Units as types, and the one place where they are read from text and written for people. */
import { UsageError } from './errors.js';

/** A whole number of bytes. */
export type Bytes = number;
/** Seconds of wall-clock time. */
export type Seconds = number;
/** A share between 0 and 1. */
export type Fraction = number;

/** Where a figure is from. */
export type Source = 'measured' | 'calibrated' | 'estimated' | 'recipe' | 'assumed';

export const KIB = 1024;
export const MIB = 1024 ** 2;
export const GIB = 1024 ** 3;

const BYTE_UNITS: Record<string, number> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: KIB,
  mib: MIB,
  gib: GIB,
  tib: 1024 ** 4,
};

/** Reads `24GiB`, `24GB`, `24576MiB` or a bare number of bytes. Throws UsageError naming `field`. */
export function parseBytes(text: string, field: string): Bytes {
  const match = /^\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*$/i.exec(text);
  const factor = match && BYTE_UNITS[(match[2] || 'b').toLowerCase()];
  const value = match && factor ? Math.round(Number(match[1]) * factor) : Number.NaN;
  if (!(value > 0) || !Number.isSafeInteger(value)) {
    throw new UsageError(
      'BAD_BYTES',
      `${field}: expected a size such as 24GiB, found "${text}"`,
      'write a number and a unit: 24GiB, 24GB or 24576MiB',
    );
  }
  return value;
}

/** Bytes for people: GiB (2^30) with two decimals, MiB below one GiB. */
export function formatBytes(bytes: Bytes): string {
  const size = Math.abs(bytes);
  if (size >= GIB) return `${(bytes / GIB).toFixed(2)} GiB`;
  if (size >= MIB) return `${(bytes / MIB).toFixed(1)} MiB`;
  if (size >= KIB) return `${(bytes / KIB).toFixed(1)} KiB`;
  return `${bytes} B`;
}

/** Reads `5m`, `90s`, `1h`, `250ms` or a bare number of seconds. Throws UsageError naming `field`. */
export function parseSeconds(text: string, field: string): Seconds {
  const match = /^\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h)?\s*$/i.exec(text);
  const factor = { ms: 1e-3, s: 1, m: 60, h: 3600 }[(match?.[2] ?? 's').toLowerCase()];
  const value = match && factor ? Number(match[1]) * factor : Number.NaN;
  if (!(value > 0) || !Number.isFinite(value)) {
    throw new UsageError(
      'BAD_DURATION',
      `${field}: expected a time such as 5m, found "${text}"`,
      'write a number and a unit: 90s, 5m or 1h',
    );
  }
  return value;
}

/** Reads `5%` or `0.05` as a fraction in [0, 1). Throws UsageError naming `field`. */
export function parseFraction(text: string, field: string): Fraction {
  const match = /^\s*([0-9]+(?:\.[0-9]+)?)\s*(%?)\s*$/.exec(text);
  const value = match ? Number(match[1]) / (match[2] ? 100 : 1) : Number.NaN;
  if (!(value >= 0 && value < 1)) {
    throw new UsageError(
      'BAD_FRACTION',
      `${field}: expected a share such as 5%, found "${text}"`,
      'write a percentage from 0% to below 100%, or a number from 0 to below 1',
    );
  }
  return value;
}
