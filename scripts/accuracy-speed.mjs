/**
 * Holds predicted training speeds against published ones, with the coefficients that the package ships.
 * usage: npm run build && node scripts/accuracy-speed.mjs TRUTH_DIR [--graphs DIR] [--markdown]
 *   TRUTH_DIR  tables as JSON lines: timm_train_rtx3090, llm_foundry_mpt, nvidia_dle
 *   --graphs   MODEL-SIZE.graph.json of timm models beyond the shipped ones
 */
import { parseArgs } from 'node:util';
import { COEFFICIENTS } from '../dist/speed/constants.js';
import { prepare } from './speed/features.mjs';
import { predict, score } from './speed/fit.mjs';
import { readRows } from './speed/rows.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { graphs: { type: 'string' }, markdown: { type: 'boolean' } },
});
const [truth] = positionals;
if (truth === undefined) {
  console.error('usage: node scripts/accuracy-speed.mjs TRUTH_DIR [--graphs DIR] [--markdown]');
  process.exit(2);
}

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

const left = new Set();
const rows = await prepare(readRows(truth, options.graphs), (line) => left.add(line.replace(/^.*?: /, '')));
const seconds = rows.map((row) => predict(row, COEFFICIENTS));
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const lines = GROUPS.flatMap(([name, keep]) => {
  const chosen = rows.map((row, i) => [row, seconds[i]]).filter(([row]) => keep(row));
  if (chosen.length === 0) return [];
  const { median, p90, rank, bias } = score(
    chosen.map(([row]) => row),
    chosen.map(([, predicted]) => predicted),
  );
  const models = new Set(chosen.map(([row]) => row.family)).size;
  return [[name, `${chosen.length}`, `${models}`, percent(median), percent(p90), rank.toFixed(3), percent(bias)]];
});
const head = ['source', 'rows', 'families', 'median error', 'p90', 'rank', 'signed'];
if (options.markdown) {
  const row = (cells) => `| ${cells.map((cell) => cell.replace(/^ {2}/, '&nbsp;&nbsp;')).join(' | ')} |`;
  console.log([row(head), '|---|---:|---:|---:|---:|---:|---:|', ...lines.map(row)].join('\n'));
} else {
  for (const cells of [head, ...lines]) console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(30) : cell.padStart(13))).join(''));
}
console.error(`${left.size} kinds of rows left out: their models are not among the shipped graphs, or have an operator without a rule`);
