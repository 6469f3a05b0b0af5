/** The tfjs engine as the program runs it: children of their own, loaded natively, killed for memory, stopped. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelGraph } from '../../src/model/graph.js';
import { readModel } from '../../src/model/open.js';
import type { Engine, TrialRequest } from '../../src/probe/engine.js';
import { createTfjsEngine } from '../../src/probe/engines/tfjs/engine.js';
import { DEFAULT_SETUP } from '../../src/setup.js';
import { GIB, MIB } from '../../src/units.js';
import { batchfitJson } from './run.js';

const engine = createTfjsEngine();
let graph: ModelGraph;
beforeAll(async () => {
  graph = await readModel('digits-cnn');
});

function request(batch: number, changes: Partial<TrialRequest> = {}): TrialRequest {
  return {
    model: { kind: 'graph', graph },
    sizes: {},
    setup: { ...DEFAULT_SETUP, batch },
    device: null,
    steps: 2,
    warmupSteps: 1,
    timeoutSeconds: 120,
    memoryCapBytes: null,
    ...changes,
  };
}

const run = (batch: number, changes?: Partial<TrialRequest>, on: Engine = engine) =>
  on.runTrial(request(batch, changes), new AbortController().signal);

describe('a trial', () => {
  it('says that it is ready, and natively so', async () => {
    const status = await engine.status();
    expect(status).toMatchObject({ name: 'tfjs', status: 'ready', version: '4.22.0' });
    expect(status.reason).toMatch(/^tfjs-node(-gpu)? 4\.22\.0 \(TensorFlow \d+\.\d+\.\d+\)/);
  });

  it('trains natively and says what ran, how long each step took and how much memory it had', async () => {
    const result = await run(16);
    expect(result).toMatchObject({ batch: 16, outcome: 'fits', warnings: [] });
    expect(result.device?.backend).toMatch(/TensorFlow \d+\.\d+/);
    expect(result.stepSeconds).toHaveLength(2);
    const parameterBytes = graph.parameters.reduce((sum, { shape }) => sum + 4 * shape.reduce((product, size) => product * size, 1), 0);
    // Weights, gradients and two moments at least.
    expect(result.peakBytes).toBeGreaterThan(4 * parameterBytes);
    expect(result.processPeakBytes).toBeGreaterThan(result.peakBytes!);
  });

  it('takes more memory for more samples', async () => {
    const [small, large] = [await run(32), await run(64)];
    expect(large.peakBytes! / small.peakBytes!).toBeGreaterThan(1.8);
  });

  it('is killed by the kernel when it outgrows its cap, and says in what', async () => {
    const result = await run(100_000, { memoryCapBytes: GIB });
    expect(result.outcome).toBe('oom');
    expect(result.evidence).toMatch(/host memory|OOM|allocat/);
  });

  it('is stopped when its time is up', async () => {
    expect(await run(512, { timeoutSeconds: 2, steps: 1000 })).toMatchObject({ outcome: 'timeout' });
  });

  it('refuses an operator that it has not, before any step', async () => {
    const nodes = graph.nodes.map((node) => (node.op.startsWith('aten.relu') ? { ...node, op: 'aten.rrelu_with_noise' } : node));
    const result = await run(2, { model: { kind: 'graph', graph: { ...graph, nodes } } });
    expect(result).toMatchObject({ outcome: 'unsupported', stepSeconds: [] });
    expect(result.evidence).toContain('aten.rrelu_with_noise');
  });

  it.each([
    [{ precision: 'amp-bf16' }, 'float32'],
    [{ optimizer: 'lion' }, 'no optimizer lion'],
    [{ checkpointing: 'full' }, 'checkpointing'],
  ] as const)('refuses %o', async (change, reason) => {
    const result = await run(2, { setup: { ...DEFAULT_SETUP, batch: 2, ...change } });
    expect(result.outcome).toBe('unsupported');
    expect(result.evidence).toContain(reason);
  });

  it('refuses a device that TensorFlow does not run on', async () => {
    expect(await run(2, { device: 'mps' })).toMatchObject({ outcome: 'unsupported', evidence: expect.stringContaining('not on "mps"') });
  });

  it('rejects and leaves no child when it is aborted', async () => {
    const controller = new AbortController();
    const trial = engine.runTrial(request(512, { steps: 1000 }), controller.signal);
    setTimeout(() => controller.abort(new Error('stopped')), 1500);
    await expect(trial).rejects.toThrow('stopped');
  });
});

describe('a native package that does not load', () => {
  let project: string;
  beforeAll(() => {
    project = mkdtempSync(join(tmpdir(), 'batchfit-broken-'));
    const target = join(project, 'node_modules', '@tensorflow', 'tfjs-node');
    mkdirSync(target, { recursive: true });
    writeFileSync(join(target, 'package.json'), JSON.stringify({ name: '@tensorflow/tfjs-node', version: '4.20.0', main: 'index.js' }));
    writeFileSync(join(target, 'index.js'), 'throw new Error("libtensorflow.so.2: cannot open shared object file");\n');
  });
  afterAll(() => rmSync(project, { recursive: true }));

  it('gives way to the installed one, with a warning', async () => {
    const result = await run(2, {}, createTfjsEngine(project));
    expect(result.outcome).toBe('fits');
    expect(result.warnings).toMatchObject([{ code: 'TFJS_BROKEN', message: expect.stringContaining('libtensorflow.so.2') }]);
  });

  it('is broken where there is no other', async () => {
    const home = process.env.XDG_DATA_HOME;
    process.env.XDG_DATA_HOME = project;
    try {
      const alone = createTfjsEngine(project);
      expect(await alone.status()).toMatchObject({ status: 'broken', reason: expect.stringContaining('4.20.0') });
      await expect(run(2, {}, alone)).rejects.toMatchObject({ code: 'ENGINE_BROKEN', exitCode: 3 });
    } finally {
      if (home === undefined) delete process.env.XDG_DATA_HOME;
      else process.env.XDG_DATA_HOME = home;
    }
  });
});

it('finds the largest batch that fits under 2 GiB, as trying batches one by one does', async () => {
  const { document, exitCode } = await batchfitJson(['probe', 'digits-cnn', '--engine', 'tfjs', '--memory-cap', '2GiB']);
  expect(exitCode).toBe(0);
  const { largest, smallestFailing, trials } = document;
  expect(largest.source).toBe('measured');
  expect(smallestFailing).toMatchObject({ batch: largest.batch + 1, outcome: 'oom' });
  const killed = trials.filter((trial: { outcome: string }) => trial.outcome === 'oom');
  expect(killed[0].evidence).toMatch(/the kernel killed/);
  // How much the kernel can reclaim under the cap differs from run to run: the edge moves by a few samples.
  const outcomes = [];
  for (const share of [0.25, 0.5, 0.75, 0.9, 0.98, 1.02, 1.1, 1.5, 2, 4]) {
    const batch = Math.round(largest.batch * share);
    outcomes.push({ share, outcome: (await run(batch, { memoryCapBytes: 2048 * MIB })).outcome });
  }
  expect(outcomes).toEqual(outcomes.map(({ share }) => ({ share, outcome: share < 1 ? 'fits' : 'oom' })));
}, 900_000);
