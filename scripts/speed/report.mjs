/** Errors of predicted training speeds as a table, for a terminal or for docs/accuracy.md. */
import { readFileSync, writeFileSync } from 'node:fs';
import { score } from './fit.mjs';

const FILE = new URL('../../docs/accuracy.md', import.meta.url);
const START = '<!-- speed: made by node scripts/accuracy-speed.mjs TRUTH_DIR --graphs DIR --markdown -->';
const END = '<!-- /speed -->';

/** Tables that count together, in the words of the report. */
const GROUPS = [
  ['timm, RTX 3090, AMP', (row) => row.set.startsWith('timm')],
  ['  NCHW', (row) => row.set === 'timm-nchw'],
  ['  NHWC', (row) => row.set === 'timm-nhwc'],
  ['llm-foundry MPT, A100 40 GB', (row) => row.set === 'mpt a100-40gb'],
  ['llm-foundry MPT, A100 80 GB', (row) => row.set === 'mpt a100-80gb'],
  ['llm-foundry MPT, H100', (row) => row.set === 'mpt h100-80gb'],
  ['NVIDIA examples, A100', (row) => row.set === 'nvidia a100'],
  ['NVIDIA examples, V100', (row) => row.set === 'nvidia v100'],
  ['  sequences binned by length', (row) => row.set.startsWith('binned')],
];

export const HEAD = ['source', 'rows', 'models', 'median error', 'p90', 'rank', 'signed'];

const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** One line a group; `seconds` are the predictions. */
export function speedTable(rows, seconds) {
  return GROUPS.flatMap(([name, keep]) => {
    const chosen = rows.map((row, i) => [row, seconds[i]]).filter(([row]) => keep(row));
    if (chosen.length === 0) return [];
    const { median, p90, rank, bias } = score(
      chosen.map(([row]) => row),
      chosen.map(([, predicted]) => predicted),
    );
    const models = new Set(chosen.map(([row]) => row.name)).size;
    return [[name, `${chosen.length}`, `${models}`, percent(median), percent(p90), rank.toFixed(3), percent(bias)]];
  });
}

/** Puts the table between the markers of docs/accuracy.md. */
export function writeSpeedMarkdown(lines) {
  const text = readFileSync(FILE, 'utf8');
  const [from, to] = [text.indexOf(START), text.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`docs/accuracy.md lacks the markers ${START} and ${END}`);
  const row = (cells) => `| ${cells.map((cell) => cell.replace(/^ {2}/, '&nbsp;&nbsp;')).join(' | ')} |`;
  const table = [row(HEAD), `|---|${'---:|'.repeat(HEAD.length - 1)}`, ...lines.map(row)].join('\n');
  writeFileSync(FILE, `${text.slice(0, from)}${START}\n\n${table}\n\n${text.slice(to)}`);
}
