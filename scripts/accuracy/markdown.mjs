/** Puts the table between the markers of docs/accuracy.md. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HEAD } from './score.mjs';

const FILE = join(import.meta.dirname, '..', '..', 'docs', 'accuracy.md');
const START = '<!-- accuracy: made by npm run accuracy -- TRUTH_DIR --markdown -->';
const END = '<!-- /accuracy -->';

export function writeMarkdown(lines) {
  const text = readFileSync(FILE, 'utf8');
  const [from, to] = [text.indexOf(START), text.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`docs/accuracy.md lacks the markers ${START} and ${END}`);
  const table = [
    `| ${HEAD.join(' | ')} |`,
    `|---|${'---:|'.repeat(HEAD.length - 1)}`,
    ...lines.map((line) => `| ${HEAD.map((column) => line[column] ?? '').join(' | ')} |`),
  ];
  writeFileSync(FILE, `${text.slice(0, from)}${START}\n\n${table.join('\n')}\n\n${text.slice(to)}`);
}
