/**
 * Fits src/speed/constants.ts to published training speeds, and says how well it predicts what it has not seen.
 * usage: npm run build && node scripts/fit-speed.mjs --truth DIR [--graphs DIR] [--cross-validate model|family] [--leave-out] [--misses N] [--write]
 *   --truth   the tables as JSON lines: timm_train_rtx3090, llm_foundry_mpt, nvidia_dle
 *   --graphs  MODEL.graph.json of timm models beyond the shipped ones
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { prepare } from './speed/features.mjs';
import { fitCoefficients, predict, score } from './speed/fit.mjs';
import { PRIORS } from './speed/priors.mjs';
import { readRows } from './speed/rows.mjs';

const { values: options } = parseArgs({
  options: {
    truth: { type: 'string' },
    graphs: { type: 'string' },
    'cross-validate': { type: 'string' },
    'leave-out': { type: 'boolean' },
    misses: { type: 'string', default: '0' },
    write: { type: 'boolean' },
  },
});
const START = Object.fromEntries(Object.entries(PRIORS).map(([name, [value]]) => [name, value]));
const SPREAD = Object.fromEntries(Object.entries(PRIORS).map(([name, [, spread]]) => [name, spread]));
const FOLDS = 5;

const rows = weigh(await prepare(readRows(options.truth, options.graphs), (line) => console.error(line)));
console.log(`${rows.length} rows`);
const isFitted = (row) => !row.set.startsWith('binned');
const coefficients = fitCoefficients(rows.filter(isFitted), START, SPREAD, { report: (line) => console.error(line) });
for (const [name, value] of Object.entries(coefficients))
  console.log(`${name.padEnd(26)} ${value.toPrecision(3).padStart(10)}  (start ${START[name]})`);
table(
  'all rows, fitted to all',
  rows,
  rows.map((row) => predict(row, coefficients)),
);
const left = options['cross-validate'];
if (left) table(`${left} left out, ${FOLDS} folds`, ...crossValidate((row) => hash(left === 'family' ? row.family : row.name) % FOLDS));
if (options['leave-out']) table('devices left out, one at a time', ...crossValidate((row) => row.device.replace(/-\d+gb$/, '')));
misses(Number(options.misses));
if (options.write) write();

/** Every device counts alike where it has enough rows: the tables differ tenfold in length. */
function weigh(list) {
  const sizes = new Map();
  for (const row of list) sizes.set(row.device, (sizes.get(row.device) ?? 0) + 1);
  return list.map((row) => ({ ...row, weight: 1 / Math.sqrt(sizes.get(row.device)) }));
}

function crossValidate(foldOf) {
  const seen = [];
  const predictions = [];
  for (const fold of new Set(rows.map(foldOf))) {
    const fitted = fitCoefficients(
      rows.filter((row) => isFitted(row) && foldOf(row) !== fold),
      START,
      SPREAD,
      { iterations: 12 },
    );
    for (const row of rows.filter((each) => foldOf(each) === fold)) {
      seen.push(row);
      predictions.push(predict(row, fitted));
    }
    console.error(`fold ${fold} done`);
  }
  return [seen, predictions];
}

function table(title, list, predictions) {
  console.log(`\n${title}`);
  const percent = (x) => `${(100 * x).toFixed(1)} %`.padStart(8);
  const group = (name, keep) => {
    const chosen = list.map((row, i) => [row, predictions[i]]).filter(([row]) => keep(row));
    if (chosen.length === 0) return;
    const s = score(
      chosen.map(([row]) => row),
      chosen.map(([, p]) => p),
    );
    console.log(
      `${name.padEnd(24)} ${String(s.rows).padStart(5)} rows  median ${percent(s.median)}  p90 ${percent(s.p90)}  rank ${s.rank.toFixed(3)}  bias ${percent(s.bias)}`,
    );
  };
  group('timm', (row) => row.set.startsWith('timm'));
  for (const set of [...new Set(list.map((row) => row.set))].sort()) group(set, (row) => row.set === set);
  group('mpt', (row) => row.set.startsWith('mpt'));
  group('nvidia', (row) => row.set.startsWith('nvidia'));
  group('nvidia, PyTorch', (row) => row.set.startsWith('nvidia') && row.framework === 'PyTorch');
}

function misses(count) {
  const worst = rows
    .map((row) => ({ row, error: row.seconds / predict(row, coefficients) - 1 }))
    .sort((a, b) => Math.abs(Math.log(1 + b.error)) - Math.abs(Math.log(1 + a.error)));
  for (const { row, error } of worst.slice(0, count)) console.log(`${`${(100 * error).toFixed(0)} %`.padStart(7)} ${row.set} ${row.id}`);
}

function hash(text) {
  let h = 7;
  for (const char of text) h = (h * 31 + char.charCodeAt(0)) % 1000003;
  return h;
}

function write() {
  const lines = Object.entries(coefficients).map(([name, value]) => `  ${name}: ${Number(value.toPrecision(3))},`);
  const text = `/** Written by scripts/fit-speed.mjs from published training speeds; what each means is in coefficients.ts. */
import type { Coefficients } from './coefficients.js';

export const COEFFICIENTS: Coefficients = {
${lines.join('\n')}
};
`;
  writeFileSync(new URL('../src/speed/constants.ts', import.meta.url), text);
}
