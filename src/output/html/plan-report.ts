/** A training plan as one page: what to set, why, what it takes, and what else could be done. */
import { formatNumber } from '../../plan/advice.js';
import { formatBytes } from '../../units.js';
import type { PlanDocument } from '../documents/plan.js';
import type { SavedPlan } from '../saved-plan.js';
import { htmlTable, page, type Row, section } from './page.js';
import { escapeHtml, linePlot, stackedBar } from './svg.js';

export function planReport(plan: SavedPlan): string {
  const title = `Training plan: ${plan.model.name} on ${plan.device.name}`;
  const parts = [
    `<h1>${escapeHtml(title)}</h1>`,
    `<p>${escapeHtml(verdict(plan))}</p>`,
    settings(plan),
    memory(plan),
    candidates(plan),
    throughput(plan),
    schedule(plan),
    warnings(plan),
    reasons(plan),
    `<footer>${escapeHtml(`batchfit ${plan.version ?? ''}`.trim())}</footer>`,
  ];
  return page(title, parts.filter((part) => part !== '').join('\n'));
}

function verdict({ fits, batch, memory, device, confidence }: PlanDocument): string {
  const need = `${formatBytes(memory.peak.deviceBytes.best)} of ${formatBytes(device.usableBytes)}`;
  if (!fits || batch === null) return `It does not fit: the smallest batch takes ${need}.`;
  return `It fits, with ${need} (${memory.source}). Confidence in the recommendation: ${confidence}.`;
}

function settings({ batch, learningRate, optimizer, warmup, schedule, loader }: PlanDocument): string {
  const rows: Row[] = [];
  const add = (name: string, value: string, why: string) => rows.push({ cells: [name, value, why] });
  if (batch) add('batch', `${batch.micro} x accumulation ${batch.accumulation} x ${batch.replicas} = ${batch.effective}`, batch.why);
  if (learningRate) {
    const { value, rule, range, why, citation } = learningRate;
    add(
      'learning rate',
      `${formatNumber(value)} (${formatNumber(range.low)} to ${formatNumber(range.high)}), rule ${rule}`,
      `${why}; ${citation}`,
    );
  }
  const values = (['momentum', 'beta1', 'beta2', 'eps', 'weightDecay'] as const).flatMap((name) =>
    optimizer[name] === null ? [] : [`${name} ${formatNumber(optimizer[name])}`],
  );
  add('optimizer', [optimizer.name, ...values].join(', '), optimizer.why);
  if (warmup) add('warm-up', warmup.steps === null ? 'see why' : `${warmup.steps} steps`, warmup.why);
  if (schedule?.stepsPerEpoch)
    add('schedule', `${schedule.stepsPerEpoch} steps an epoch${schedule.totalSteps ? `, ${schedule.totalSteps} in all` : ''}`, '');
  if (loader)
    add(
      'data loader',
      `${loader.workers} workers, prefetch ${loader.prefetch}, pinned memory ${loader.pinMemory ? 'on' : 'off'}`,
      loader.why,
    );
  return section('What to set', htmlTable('Settings, and where they are from', ['setting', 'value', 'why'], rows, true));
}

function memory({ memory: { breakdown, peakAt, source }, maxBatch }: PlanDocument): string {
  const parts = Object.entries(breakdown).map(([name, value]) => ({ name: words(name), value, label: formatBytes(value) }));
  const description = `Memory at the peak: ${parts
    .filter(({ value }) => value > 0)
    .map(({ name, label }) => `${name} ${label}`)
    .join(', ')}`;
  const note = `<p class="soft">At the peak, in the ${peakAt} (${source}). Largest micro batch: ${maxBatch.low} to ${maxBatch.high}.</p>`;
  return section('Memory', stackedBar(parts, description), note);
}

function candidates({ candidates: rows }: PlanDocument): string {
  if (rows.length === 0) return '';
  const number = (value: number | null) => (value === null ? '-' : formatNumber(value));
  const head = ['batch', 'micro x accumulation', 'learning rate', 'step s', 'samples/s', 'time to target', 'compute', 'fits'];
  const body = rows.map((row) => ({
    chosen: row.recommended,
    cells: [
      `${row.effective}${row.recommended ? ' (recommended)' : ''}`,
      `${row.micro} x ${row.accumulation}`,
      ...[row.learningRate, row.stepSeconds, row.samplesPerSecond, row.relativeTimeToTarget, row.relativeCompute].map(number),
      row.fits ? 'yes' : 'no',
    ],
  }));
  return section('Candidates', htmlTable('Other batches, each with its own learning rate', head, body));
}

function throughput({ candidates, throughput: { source } }: PlanDocument): string {
  const points = candidates
    .flatMap(({ effective, samplesPerSecond, recommended, fits }) =>
      samplesPerSecond === null || !fits ? [] : [{ x: effective, y: samplesPerSecond, marked: recommended }],
    )
    .filter((point, index, all) => all.findIndex(({ x }) => x === point.x) === index)
    .sort((a, b) => a.x - b.x);
  if (points.length < 2) return '';
  const named = points.map((point) => ({ ...point, title: `batch ${point.x}: ${formatNumber(point.y)} samples/s` }));
  const description = `Samples per second by batch: ${named.map(({ title }) => title).join('; ')}`;
  const plot = linePlot({ points: named, xTitle: 'samples an update', yTitle: 'samples/s', description, format: formatNumber, logX: true });
  return section('Throughput', plot, `<p class="soft">${source ?? 'assumed'}; the ring is the recommended batch.</p>`);
}

/** The warm-up as planned, then the peak; what comes after it is the training program's own. */
function schedule({ learningRate, warmup, schedule: plan }: PlanDocument): string {
  if (!learningRate || !warmup?.steps) return '';
  const { value } = learningRate;
  const end = Math.max(plan?.totalSteps ?? 0, Math.round(warmup.steps * 1.5));
  const points = [
    { x: 0, y: value * warmup.fromFraction },
    { x: warmup.steps, y: value },
    { x: end, y: value },
  ];
  const description = `Learning rate by step: from ${formatNumber(value * warmup.fromFraction)} to ${formatNumber(value)} in ${warmup.steps} steps`;
  const plot = linePlot({ points, xTitle: 'step', yTitle: 'learning rate', description, format: formatNumber });
  return section('Learning rate', plot, '<p class="soft">The warm-up and the peak; the decay after it is your schedule.</p>');
}

function warnings({ warnings: list = [] }: SavedPlan): string {
  if (list.length === 0) return '';
  return section(
    'Warnings',
    `<ul>${list.map(({ message, hint }) => `<li>${escapeHtml(message)}<br><span class="soft">${escapeHtml(hint)}</span></li>`).join('')}</ul>`,
  );
}

function reasons({ reasons: list }: PlanDocument): string {
  if (list.length === 0) return '';
  const rows = list.map(({ topic, text, source }) => ({ cells: [topic, text, source] }));
  return section('Reasons', htmlTable('Each with its source', ['topic', 'reason', 'source'], rows, true));
}

const words = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
