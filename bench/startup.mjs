/**
 * How long a cold `batchfit estimate resnet50 --batch 32 --json` takes beside bare Node, and beside other estimators of
 * the same model where Python has them. Wall-clock times, each the least of its runs, which a busy machine disturbs least.
 *
 *   node bench/startup.mjs [--runs N] [--python PROGRAM]
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: { runs: { type: 'string', default: '15' }, python: { type: 'string', default: 'python3' } },
});
const runs = Number(options.runs);
const TARGET_MS = 250;

const program = fileURLToPath(new URL('../bin/run.js', import.meta.url));
const peer = fileURLToPath(new URL('peers.py', import.meta.url));

/** Rows to time: name and command. A peer that is not installed prints why and is left out. */
const own = [
  ['node -e 0', [process.execPath, '-e', '0']],
  ['batchfit --version', [process.execPath, program, '--version']],
  ['batchfit estimate resnet50 --batch 32 --json', [process.execPath, program, 'estimate', 'resnet50', '--batch', '32', '--json']],
];
const peers = ['accelerate', 'torchinfo'].map((name) => [`${name} on resnet50`, [options.python, peer, name]]);

/** Milliseconds of one run; null when it fails. */
function time([command, ...args]) {
  const start = performance.now();
  const { status, stderr, error } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
  if (status === 0) return performance.now() - start;
  console.error(`left out: ${[command, ...args].join(' ')}: ${error?.message ?? stderr.trim().split('\n').at(-1)}`);
  return null;
}

/** Least time of each row, the rows taken in turn so that a slow spell hits them all. */
function measure(rows, count) {
  const least = new Map();
  for (let run = 0; run < count; run++) {
    for (const [name, command] of rows) {
      if (least.get(name) === null) continue;
      const milliseconds = time(command);
      least.set(name, milliseconds === null ? null : Math.min(milliseconds, least.get(name) ?? Number.POSITIVE_INFINITY));
    }
  }
  return least;
}

// a first run warms the file cache
measure(own, 1);
const times = new Map([...measure(own, runs), ...measure(peers, 3)]);
const node = times.get(own[0][0]);
const estimate = times.get(own[2][0]);
if (estimate === null) process.exit(1);

for (const [name, milliseconds] of times) {
  if (milliseconds === null) continue;
  const above = `${(milliseconds - node).toFixed(0)} ms above node`;
  const ratio = `${(milliseconds / estimate).toFixed(2)} x batchfit's estimate`;
  console.log(`${name.padEnd(46)} ${milliseconds.toFixed(0).padStart(6)} ms   ${above.padStart(20)}   ${ratio}`);
}
const verdict = estimate - node < TARGET_MS ? 'kept' : 'missed';
console.log(`target: less than ${TARGET_MS} ms above node's own start: ${verdict}`);
process.exitCode = verdict === 'kept' ? 0 : 1;
