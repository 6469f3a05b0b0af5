/** The plan for people: the settings first, then the other batches, then why. */
import { formatNumber } from '../plan/advice.js';
import { formatBytes } from '../units.js';
import type { PlanDocument } from './documents/plan.js';
import { table } from './tables.js';

export function renderPlan(answer: unknown): string {
  const plan = answer as PlanDocument;
  return (
    plan.batch === null ? renderRefusal(plan) : [...renderSettings(plan, plan.batch), ...renderCandidates(plan), ...renderReasons(plan)]
  ).join('\n');
}

function renderRefusal({ model, device, memory, reasons, setup }: PlanDocument): string[] {
  const { best, high } = memory.peak.deviceBytes;
  return [
    `${model.name} does not fit on ${device.name} with ${setup.precision} and ${setup.optimizer}: ${formatBytes(best)} (up to ${formatBytes(high)}) of ${formatBytes(device.usableBytes)} usable`,
    ...reasons.map(({ text }) => `  ${text}`),
  ];
}

function renderSettings(plan: PlanDocument, batch: NonNullable<PlanDocument['batch']>): string[] {
  const { model, setup, learningRate, optimizer, warmup, schedule, memory, device, throughput } = plan;
  const rate = learningRate!;
  const peak = memory.measuredPeakBytes ?? memory.peak.deviceBytes.best;
  const product = [
    `micro batch ${batch.micro}`,
    `accumulation ${batch.accumulation}`,
    ...(batch.replicas > 1 ? [`${batch.replicas} replicas`] : []),
  ];
  const settings = Object.entries({
    momentum: optimizer.momentum,
    beta1: optimizer.beta1,
    beta2: optimizer.beta2,
    eps: optimizer.eps,
    'weight decay': optimizer.weightDecay,
  });
  const known = settings.flatMap(([name, value]) => (value === null ? [] : `${name} ${formatNumber(value)}`));
  const tokens = batch.tokensPerStep === null ? '' : ` (${batch.tokensPerStep.toLocaleString('en')} tokens)`;
  return [
    `${model.name} on ${setup.gpus > 1 ? `${setup.gpus} x ` : ''}${device.name}, ${setup.precision}`,
    '',
    `batch          ${product.join(' x ')} = ${batch.effective}${tokens}: ${batch.why}`,
    `learning rate  ${formatNumber(rate.value)} (${formatNumber(rate.range.low)} to ${formatNumber(rate.range.high)}): ${rate.why}`,
    `optimizer      ${[optimizer.name, ...known].join(', ')}`,
    `warm-up        ${renderWarmup(warmup!)}`,
    `steps          ${renderSteps(schedule!)}, ${plan.regime}`,
    `memory         fits: ${formatBytes(peak)} of ${formatBytes(device.usableBytes)} on ${device.name}${memory.measuredPeakBytes === null ? ' (estimated)' : ' (measured)'}`,
    `throughput     ${renderThroughput(throughput)}`,
    `confidence     ${plan.confidence}`,
  ];
}

function renderWarmup({ steps, epochs, why }: NonNullable<PlanDocument['warmup']>): string {
  if (steps === 0) return `none: ${why}`;
  const amount = [steps === null ? null : `${steps} steps`, epochs === null ? null : `${formatNumber(epochs)} epochs`].filter(
    (part) => part !== null,
  );
  return `${amount.join(', ')}: ${why}`;
}

function renderSteps({ stepsPerEpoch, totalSteps, epochs }: NonNullable<PlanDocument['schedule']>): string {
  if (stepsPerEpoch === null) return 'not known without --dataset-size';
  return `${stepsPerEpoch} an epoch${totalSteps === null ? '' : `, ${totalSteps} in ${formatNumber(epochs!)} epochs`}`;
}

function renderThroughput({
  samplesPerSecond,
  stepSeconds,
  secondsPerEpoch,
  costPerEpoch,
  source,
  why,
}: PlanDocument['throughput']): string {
  if (samplesPerSecond === null || stepSeconds === null) return why;
  const epoch = secondsPerEpoch === null ? '' : `, ${formatNumber(secondsPerEpoch / 60)} minutes an epoch`;
  const cost = costPerEpoch === null ? '' : ` for ${formatNumber(costPerEpoch)}`;
  return `${formatNumber(samplesPerSecond)} samples/s, ${formatNumber(stepSeconds)} s a step${epoch}${cost} (${source})`;
}

const cell = (value: number | null) => (value === null ? '-' : formatNumber(value));

function renderCandidates({ candidates }: PlanDocument): string[] {
  if (candidates.length === 0) return [];
  const columns: Array<[head: string, cell: (each: PlanDocument['candidates'][number]) => string]> = [
    ['effective', (each) => `${each.effective}${each.recommended ? ' <' : ''}`],
    ['micro x acc.', (each) => `${each.micro} x ${each.accumulation}`],
    ['learning rate', (each) => cell(each.learningRate)],
    ['step s', (each) => cell(each.stepSeconds)],
    ['samples/s', (each) => cell(each.samplesPerSecond)],
    ['rel. time', (each) => cell(each.relativeTimeToTarget)],
    ['rel. samples', (each) => cell(each.relativeCompute)],
    ['fits', (each) => (each.fits ? 'yes' : 'no')],
  ];
  // without a noise scale nobody knows what a batch costs in time and samples
  const known = columns.filter(([, show]) => candidates.some((each) => show(each) !== '-'));
  const head = known.map(([title]) => title);
  const rows = candidates.map((each) => known.map(([, show]) => show(each)));
  return ['', table(head, rows, { align: head.map(() => 'right') })];
}

function renderReasons({ reasons, crossCheck }: PlanDocument): string[] {
  const lines = reasons.map(({ topic, text, source }) => `  ${topic}: ${text} [${source}]`);
  if (crossCheck) {
    const { learningRate, batchTokens } = crossCheck;
    lines.push(
      `  cross-check: pre-training laws say a rate of ${formatNumber(learningRate.low)} to ${formatNumber(learningRate.high)} and a batch of ${formatNumber(batchTokens.low)} to ${formatNumber(batchTokens.high)} tokens [${crossCheck.laws.map(({ law }) => law).join(', ')}]`,
    );
  }
  return ['', 'because', ...lines];
}
