/**
 * Holds estimates against published measurements, row by row, and prints how far they are off by source.
 * usage: npm run accuracy -- TRUTH_DIR [--graphs DIR] [--source NAME]... [--worst N] [--markdown] [--build DIR]
 *   TRUTH_DIR   the measurements as JSON lines (a README beside them says which counter each source read)
 *   --graphs    exported graphs (MODEL.graph.json) beside those that the package ships
 *   --markdown  write the table into docs/accuracy.md
 */
import { parseArgs } from 'node:util';
import { answerRows } from './accuracy/answer.mjs';
import { writeMarkdown } from './accuracy/markdown.mjs';
import { Models } from './accuracy/models.mjs';
import { loadProduct } from './accuracy/product.mjs';
import { reasonOf } from './accuracy/reasons.mjs';
import { HEAD, summarize } from './accuracy/score.mjs';
import { SOURCES } from './accuracy/sources.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    graphs: { type: 'string', multiple: true, default: [] },
    source: { type: 'string', multiple: true },
    worst: { type: 'string', default: '10' },
    markdown: { type: 'boolean', default: false },
    build: { type: 'string', default: 'dist' },
  },
});
const [truth] = positionals;
if (!truth) {
  console.error('usage: npm run accuracy -- TRUTH_DIR [--graphs DIR] [--source NAME] [--worst N] [--markdown]');
  process.exit(2);
}

const started = Date.now();
const product = await loadProduct(options.build);
const models = new Models(product, options.graphs);
const table = [];
for (const source of SOURCES) {
  if (options.source && !options.source.includes(source.name)) continue;
  const rows = source.rows(truth);
  const answers = await answerRows(product, models, rows);
  for (const group of new Set(answers.map(({ row }) => row.group ?? ''))) {
    const own = answers.filter(({ row }) => (row.group ?? '') === group);
    table.push(summarize(group === '' ? source.name : `${source.name}: ${group}`, own));
    printWorst(source.name, own, Number(options.worst));
  }
}
printTable(table);
console.log(`${Math.round((Date.now() - started) / 1000)} s`);
if (options.markdown) writeMarkdown(table);

function printWorst(source, answers, count) {
  console.log(`${source}: the worst ${count}`);
  const failures = new Map();
  for (const { failure } of answers) if (failure) failures.set(failure, (failures.get(failure) ?? 0) + 1);
  for (const [failure, times] of [...failures].sort((a, b) => b[1] - a[1]).slice(0, 5))
    console.log(`  no answer, ${times} rows: ${failure}`);
  const wrong = answers.filter(({ error, miss }) => error !== undefined || miss);
  const far = ({ error = 0, rungs = 0, miss }) => Math.abs(error) + Math.abs(rungs) + (miss ? 1 : 0);
  for (const each of wrong.sort((a, b) => far(b) - far(a)).slice(0, count)) {
    const { row } = each;
    const off = each.error === undefined ? '' : `${(100 * each.error).toFixed(1)} %`.padStart(9);
    const why = reasonOf(source, each);
    console.log(`  ${off} ${each.note ?? ''} ${row.id}${why ? ` (${why})` : ''}`);
  }
}

function printTable(lines) {
  const rows = [HEAD, ...lines.map((line) => HEAD.map((column) => line[column] ?? ''))];
  const widths = HEAD.map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  for (const row of rows) console.log(row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  '));
}
