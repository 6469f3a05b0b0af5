/**
 * The process that runs one trial, and the only one that loads TensorFlow. Reads a ChildOrder from standard input, tells
 * how it goes in report lines on file descriptor 3.
 */
import { readFileSync, writeSync } from 'node:fs';
import { findOutOfMemory } from '../../outcome.js';
import type { TrialReport } from '../../report.js';
import { UnsupportedError } from './call.js';
import { type LoadedEngine, loadTensorFlow } from './load.js';
import { watchTensorBytes } from './memory.js';
import { measureNoise } from './noise-child.js';
import type { ChildOrder, TrainingOrder } from './order.js';
import { ignoredChoices, whyUnsupported } from './support.js';
import { prepareTrainer } from './training.js';

const report: TrialReport = {
  schema: 'batchfit/trial-report@1',
  status: 'running',
  phase: 'import',
  error: null,
  device: null,
  peakBytes: null,
  reservedBytes: null,
  deviceBytes: null,
  processPeakBytes: null,
  stepSeconds: [],
  warnings: [],
};

function tell(changes: Partial<TrialReport>): void {
  Object.assign(report, changes);
  writeSync(3, `${JSON.stringify(report)}\n`);
}

/** This process's highest resident memory. */
function processPeakBytes(): number {
  try {
    const match = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
    if (match) return Number(match[1]) * 1024;
  } catch {
    // Not Linux: the operating system's own count instead.
  }
  return process.resourceUsage().maxRSS * 1024;
}

function prepare(engine: LoadedEngine, { setup, noise }: TrainingOrder): void {
  const refusal = whyUnsupported(setup, engine.deviceKind);
  if (refusal) throw new UnsupportedError(refusal);
  report.warnings = ignoredChoices(setup);
  if (noise) tell({ phase: 'build' });
}

function train({ tf }: LoadedEngine, order: TrainingOrder): void {
  const { setup, graph, sizes, steps, warmupSteps } = order;
  const peak = watchTensorBytes(tf);
  tell({ phase: 'build' });
  const trainer = prepareTrainer(tf, graph, setup, sizes);
  const count: number[] = [];
  for (let step = 0; step < warmupSteps + steps; step++) {
    const name = step < warmupSteps ? `warm-up step ${step + 1}` : `step ${step - warmupSteps + 1}`;
    const started = performance.now();
    const loss = trainer.step((phase) => tell({ phase: `${name}, ${phase}`, peakBytes: peak(), processPeakBytes: processPeakBytes() }));
    if (!Number.isFinite(loss)) throw new Error(`the loss is ${loss} after ${name}`);
    if (step >= warmupSteps) report.stepSeconds.push((performance.now() - started) / 1000);
    count.push(tf.memory().numTensors);
    // The optimizer's state is made in the first step; from then on every step must leave what it found.
    const before = count.at(-2);
    if (count.length > 2 && before !== count.at(-1)) throw new Error(`${name} left ${count.at(-1)} tensors where it found ${before}`);
  }
  tell({ status: 'done', phase: null, peakBytes: peak(), processPeakBytes: processPeakBytes() });
}

async function main(): Promise<void> {
  const order = JSON.parse(readFileSync(0, 'utf8')) as ChildOrder;
  const engine = await loadTensorFlow(order.flavor, order.entry);
  tell({ device: { kind: engine.deviceKind, name: null, backend: engine.backend, totalBytes: null } });
  if (order.graph) prepare(engine, order);
  if (order.graph && order.noise) {
    measureNoise(
      engine.tf,
      order,
      order.noise,
      (phase) => tell({ phase }),
      (line) => writeSync(3, `${JSON.stringify(line)}\n`),
    );
    tell({ status: 'done', phase: null, processPeakBytes: processPeakBytes() });
  } else if (order.graph) train(engine, order);
  else tell({ status: 'done', phase: null });
}

main().catch((error: Error) => {
  const message = String(error?.message ?? error);
  const memory = findOutOfMemory(message);
  if (error instanceof UnsupportedError) tell({ status: 'unsupported', error: message });
  else if (memory) tell({ status: 'oom', error: `${memory.where} memory: ${memory.line}` });
  else tell({ status: 'error', error: message.split('\n')[0] ?? message });
  if (process.env.BATCHFIT_DEBUG) process.stderr.write(`${error?.stack}\n`);
  process.exitCode = 1;
});
