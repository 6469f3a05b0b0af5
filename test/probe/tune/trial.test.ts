import { describe, expect, it } from 'vitest';
import { isHopeless } from '../../../src/probe/tune/median.js';
import { createMetricReader, type MetricLine } from '../../../src/probe/tune/metric-lines.js';
import type { Report, TuneTrial } from '../../../src/probe/tune/sampler.js';
import { runTuneTrial, type TrialLimits } from '../../../src/probe/tune/trial.js';

const asked = { number: 0, batch: 32, learningRate: 0.1, exceeds: null };
const open: TrialLimits = { timeoutSeconds: null, memoryCapBytes: null };

/** Runs a script of Node with the setting as its arguments. */
function run(
  script: string,
  limits = open,
  onReport: (report: Report) => Promise<boolean> = async () => false,
  signal = new AbortController().signal,
) {
  return runTuneTrial([process.execPath, '-e', script, '{batch}', '{lr}'], asked, limits, onReport, signal);
}
const say = (metric: string, step: number) => `console.log('BATCHFIT {"metric": ${metric}, "step": ${step}}');`;

describe('lines of a metric', () => {
  const read = (...pieces: string[]) => {
    const lines: MetricLine[] = [];
    const reader = createMetricReader((line) => lines.push(line));
    for (const piece of pieces) reader.feed(piece);
    reader.end();
    return lines;
  };
  it('come in any pieces, among other lines', () => {
    const lines = read(
      'epoch 1\nBATCH',
      'FIT {"metric": 0.5, "st',
      'ep": 3}\r\nBATCHFIT {"peakBytes": 1}\nBATCHFIT {"metric": 0.25, "step": 4.5}',
    );
    expect(lines).toEqual([
      { metric: 0.5, step: 3 },
      { metric: 0.25, step: 4 },
    ]);
  });
  it('count themselves without a step', () =>
    expect(read('BATCHFIT {"metric": 2}\nBATCHFIT {"metric": 1}\n').map(({ step }) => step)).toEqual([0, 1]));
  it("know Python's NaN", () =>
    expect(read('BATCHFIT {"metric": NaN, "step": 1}\nBATCHFIT {"metric": -Infinity}')).toEqual([
      { metric: null, step: 1 },
      { metric: null, step: 1 },
    ]));
  it('ignore what is broken', () =>
    expect(read('BATCHFIT {"metric": 1,\nBATCHFIT {"metric": "low"}\n BATCHFIT {"metric": 1}\n')).toEqual([]));
});

describe('the median rule', () => {
  const flat = (metric: number): Report[] => [0, 1, 2].map((step) => ({ step, metric }));
  const finished = [1, 2, 3, 4].map(flat);
  it('stops what is worse than half of the others at the same step', () => {
    expect(isHopeless([{ step: 1, metric: 2.6 }], finished, 'min')).toBe(true);
    expect(isHopeless([{ step: 1, metric: 2.4 }], finished, 'min')).toBe(false);
    expect(isHopeless([{ step: 1, metric: 2.4 }], finished, 'max')).toBe(true);
  });
  it('forgives what was better before', () =>
    expect(
      isHopeless(
        [
          { step: 0, metric: 1 },
          { step: 1, metric: 9 },
        ],
        finished,
        'min',
      ),
    ).toBe(false));
  it('waits for four trials, and for their values at that step', () => {
    expect(isHopeless([{ step: 1, metric: 9 }], finished.slice(1), 'min')).toBe(false);
    expect(isHopeless([{ step: 7, metric: 9 }], finished, 'min')).toBe(false);
  });
});

describe('a trial', () => {
  it('takes the last metric, and passes the earlier ones on', async () => {
    const heard: Report[] = [];
    const trial = await run(
      `${say('2', 1)}console.log('BATCHFIT ' + JSON.stringify({ metric: process.argv[1] * process.env.BATCHFIT_LR, step: 2 }))`,
      open,
      async (report) => {
        heard.push(report);
        return false;
      },
    );
    expect(trial).toMatchObject({ outcome: 'done', metric: 3.2, batch: 32, learningRate: 0.1, ran: true });
    expect(heard).toEqual([
      { step: 1, metric: 2 },
      { step: 2, metric: 3.2 },
    ]);
    expect(trial.reports).toEqual(heard);
  });
  it.each<[string, string, Partial<TuneTrial>]>([
    [
      'memory',
      `${say('1', 0)}console.error('RuntimeError: CUDA out of memory.'); process.exit(1)`,
      { outcome: 'oom', evidence: 'device memory: RuntimeError: CUDA out of memory.; exit code 1' },
    ],
    [
      'a crash',
      `console.error('ValueError: bad'); process.exit(2)`,
      { outcome: 'crash', metric: null, evidence: 'exit code 2: ValueError: bad' },
    ],
    ['silence', '', { outcome: 'crash', evidence: 'exit code 0 without a line BATCHFIT {"metric": X, "step": N}' }],
    [
      'NaN',
      `${say('NaN', 3)}setTimeout(() => {}, 60000)`,
      { outcome: 'pruned', metric: null, evidence: 'the metric at step 3 is not a number' },
    ],
  ])('%s is an outcome', async (_, script, expected) => expect(await run(script)).toMatchObject(expected));
  it('a time limit is an outcome, with what was said before', async () => {
    const trial = await run(`${say('0.5', 1)}setTimeout(() => {}, 60000)`, { ...open, timeoutSeconds: 1 });
    expect(trial).toMatchObject({ outcome: 'timeout', metric: 0.5 });
  });
  it('a hopeless one gets SIGTERM, and SIGKILL five seconds later', { timeout: 30_000 }, async () => {
    const polite = await run(
      `process.on('SIGTERM', () => process.exit(0));${say('9', 0)}setTimeout(() => {}, 60000)`,
      open,
      async () => true,
    );
    expect(polite).toMatchObject({ outcome: 'pruned', metric: 9, evidence: 'worse than the median of finished trials at step 0' });
    const deaf = await run(`process.on('SIGTERM', () => {});${say('9', 0)}setTimeout(() => {}, 60000)`, open, async () => true);
    expect(deaf.outcome).toBe('pruned');
    expect(deaf.seconds).toBeGreaterThan(4.9);
  });
  it('a failing listener ends the child and is told', async () => {
    const failing = run(`${say('9', 0)}setTimeout(() => {}, 60000)`, open, async () => Promise.reject(new Error('storage gone')));
    await expect(failing).rejects.toThrow('storage gone');
  });
  it('an aborted one rejects with the reason', async () => {
    const controller = new AbortController();
    const trial = run(
      `${say('9', 0)}setTimeout(() => {}, 60000)`,
      open,
      async () => {
        controller.abort(new Error('interrupted'));
        return false;
      },
      controller.signal,
    );
    await expect(trial).rejects.toThrow('interrupted');
  });
});
