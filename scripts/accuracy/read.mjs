/** Rows of a truth file. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** The JSON lines of TRUTH_DIR/name; none where the file is not there. */
export function lines(truth, name) {
  const file = join(truth, name);
  if (!existsSync(file)) return [];
  const bytes = readFileSync(file);
  const text = (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

export const GIB = 2 ** 30;
