import { describe, expect, it } from 'vitest';
import { diagnoseLog } from '../../../src/plan/diagnose/diagnose.js';
import { logOf, RUNS } from './synthetic.js';

describe('synthetic runs are called right', () => {
  // One in ten may be another answer's: a curve with noise can look like what it is not.
  it.each(RUNS.map((run) => [run.name, run] as const))('%s', { timeout: 60_000 }, (_, run) => {
    const verdicts = Array.from({ length: 10 }, (_unused, seed) => diagnoseLog(logOf(run, seed + 1)).verdict);
    const right = verdicts.filter((verdict) => verdict === run.kind).length;
    expect(right, verdicts.join(', ')).toBeGreaterThanOrEqual(9);
  });
});

describe('every finding', () => {
  const findings = RUNS.flatMap((run) => diagnoseLog(logOf(run, 3)).findings);
  it('has its evidence, ranked causes and advice with sources', () => {
    for (const finding of findings) {
      expect(finding.evidence.length).toBeGreaterThan(0);
      if (finding.kind !== 'healthy') expect(finding.causes.length).toBeGreaterThan(0);
      for (const step of finding.advice) expect(step.source).not.toBe('');
    }
  });
  it('names the curve that each piece of evidence is read from', () => {
    for (const text of findings.flatMap(({ evidence }) => evidence))
      expect(text).toMatch(/the (training loss|validation loss|gradient norm)/);
  });
  it('names batch size as the last lever with low confidence for over- and underfitting', () => {
    for (const { kind, advice } of findings) {
      if (kind !== 'overfitting' && kind !== 'underfitting') continue;
      expect(advice.at(-1)).toMatchObject({ lever: 'batch', confidence: 'low' });
      expect(advice.slice(0, -1).every(({ lever }) => lever !== 'batch')).toBe(true);
    }
  });
  it('suspects the learning rate before the batch when a run is noisy', () => {
    const noisy = findings.find(({ kind }) => kind === 'noisy')!;
    expect(noisy.advice.map(({ lever }) => lever).slice(0, 2)).toEqual(['learning-rate', 'batch']);
  });
});

describe('without a validation loss', () => {
  const alone = RUNS.filter((run) => run.validation === undefined).map((run) => diagnoseLog(logOf(run, 1)));
  it('nothing is called overfitting, and the lack is said', () => {
    for (const { findings, warnings } of alone) {
      expect(findings.some(({ kind }) => kind === 'overfitting')).toBe(false);
      expect(warnings.map(({ code }) => code)).toContain('NO_VALIDATION');
    }
  });
});
