import { describe, expect, it } from 'vitest';
import { diagnoseLog } from '../../../src/plan/diagnose/diagnose.js';
import { logOf, RUNS } from './synthetic.js';

describe('synthetic runs are called right', () => {
  it.each(RUNS.map((run) => [run.name, run] as const))('%s', (_, run) => {
    const verdicts = Array.from({ length: 20 }, (_unused, seed) => diagnoseLog(logOf(run, seed + 1)).verdict);
    expect(verdicts).toEqual(verdicts.map(() => run.kind));
  });
});
