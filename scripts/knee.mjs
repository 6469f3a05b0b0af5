/**
 * Holds the knee of a calibrated prediction against the measured one on this machine's CPU: every model is measured at the
 * powers of two, the prediction sees the smallest and the largest of them alone, and both say from which batch on 95 % of
 * the best throughput is reached.
 * usage: npm run build && node scripts/knee.mjs [--model NAME[@IMAGE][:MAX_BATCH]]... [--steps N]
 */
import { execFile } from 'node:child_process';
import { parseArgs, promisify } from 'node:util';
import { resolveTarget } from '../dist/machine/target.js';
import { readModel } from '../dist/model/open.js';
import { DEFAULT_SETUP } from '../dist/setup.js';
import { KNEE_SHARE, predictSpeed } from '../dist/speed/predict.js';

const MODELS = ['digits-mlp:1024', 'digits-cnn:128', 'resnet18@64:64', 'mobilenet_v2@64:64', 'efficientnet_b0@64:64'];
const { values: options } = parseArgs({
  options: { model: { type: 'string', multiple: true, default: MODELS }, steps: { type: 'string', default: '7' } },
});

const RUN = new URL('../bin/run.js', import.meta.url).pathname;
const run = promisify(execFile);
const target = await resolveTarget({ device: 'cpu' });
console.log('| model | measured knee | predicted knee | steps apart | error between, median | points |');
console.log('|---|---:|---:|---:|---:|---|');
for (const each of options.model) {
  const [, name, image, maxBatch] = /^([^@:]+)(?:@(\d+))?:(\d+)$/.exec(each);
  const points = await measure(name, image, maxBatch);
  const model = await readModel(name, image ? { image: [Number(image), Number(image)] } : {});
  const curve = predictSpeed(model, DEFAULT_SETUP, target, { measured: [points[0], points.at(-1)] });
  const batches = points.map(({ batch }) => batch);
  const [measured, predicted] = [kneeOf(points), curve.knee(batches)];
  const between = points.slice(1, -1).map(({ batch, stepSeconds }) => Math.abs(curve.at(batch).stepSeconds / stepSeconds - 1));
  const shown = points.map(({ batch, stepSeconds }) => `${batch}: ${(batch / stepSeconds).toPrecision(3)}/s`).join(', ');
  const apart = Math.abs(batches.indexOf(measured) - batches.indexOf(predicted));
  console.log(`| ${each.replace(/:.*/, '')} | ${measured} | ${predicted} | ${apart} | ${percent(median(between))} | ${shown} |`);
}

/** Fastest step of each power of two: what else the machine does can only slow a step down. */
async function measure(name, image, maxBatch) {
  const args = ['probe', name, '--engine', 'torch', '--curve', '--device', 'cpu', '--max-batch', maxBatch, '--steps', options.steps];
  const { stdout } = await run(process.execPath, [RUN, ...args, ...(image ? ['--image', image] : []), '--json'], { maxBuffer: 2 ** 26 });
  const isPower = ({ batch }) => Number.isInteger(Math.log2(batch));
  return JSON.parse(stdout)
    .trials.filter((trial) => trial.outcome === 'fits' && isPower(trial))
    .map(({ batch, stepSeconds }) => ({ batch, stepSeconds: Math.min(...stepSeconds.samples) }))
    .sort((a, b) => a.batch - b.batch);
}

function kneeOf(points) {
  const rates = points.map(({ batch, stepSeconds }) => batch / stepSeconds);
  return points[rates.findIndex((rate) => rate >= KNEE_SHARE * Math.max(...rates))].batch;
}

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

function percent(share) {
  return `${(100 * share).toFixed(0)} %`;
}
