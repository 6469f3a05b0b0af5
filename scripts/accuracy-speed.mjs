/**
 * Holds predicted training speeds against published ones, with the coefficients that the package ships.
 * usage: npm run build && node scripts/accuracy-speed.mjs TRUTH_DIR [--graphs DIR] [--markdown]
 *   TRUTH_DIR   tables as JSON lines: timm_train_rtx3090, llm_foundry_mpt, nvidia_dle
 *   --graphs    MODEL.graph.json of timm models beyond the shipped ones
 *   --markdown  write the table into docs/accuracy.md
 */
import { parseArgs } from 'node:util';
import { COEFFICIENTS } from '../dist/speed/constants.js';
import { prepare } from './speed/features.mjs';
import { predict } from './speed/fit.mjs';
import { HEAD, speedTable, writeSpeedMarkdown } from './speed/report.mjs';
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

const left = new Set();
const rows = await prepare(readRows(truth, options.graphs), (line) => left.add(line.replace(/^.*?: /, '')));
const lines = speedTable(
  rows,
  rows.map((row) => predict(row, COEFFICIENTS)),
);
for (const cells of [HEAD, ...lines]) console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(30) : cell.padStart(13))).join(''));
console.error(`${left.size} kinds of rows left out: their models are not among the graphs, or have an operator without a rule`);
if (options.markdown) writeSpeedMarkdown(lines);
