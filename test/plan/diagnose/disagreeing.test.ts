/** Runs whose training and validation loss say different things: what the training loss shows is not enough. */
import { describe, expect, it } from 'vitest';
import { diagnoseLog } from '../../../src/plan/diagnose/diagnose.js';
import type { Kind } from '../../../src/plan/diagnose/finding.js';
import type { TrainingLog } from '../../../src/plan/diagnose/log.js';
import { decay, logOf, type Run } from './synthetic.js';

const SEEDS = [1, 2, 3, 4, 5];
const logs = (run: Omit<Run, 'name' | 'kind'>) => SEEDS.map((seed) => logOf({ name: '', kind: 'healthy', ...run }, seed));
const findingsOf = (log: TrainingLog, kind: Kind) => diagnoseLog(log).findings.filter((finding) => finding.kind === kind);
/** The kind's confidence and evidence in a log that has one such finding. */
function only(log: TrainingLog, kind: Kind): { confidence: string; text: string } {
  const found = findingsOf(log, kind);
  expect(found.length).toBe(1);
  return { confidence: found[0]!.confidence, text: found[0]!.evidence.join('; ') };
}

const SMOOTH: Array<[name: string, curve: (t: number) => number]> = [
  ['in a straight line', (t) => 2.3 - 1.5 * t],
  ['slowly', decay(2.3, 0.4, 2)],
  ['and flattens', decay(2.3, 0.4, 4)],
];

describe('a training loss that rises from 60 % on', () => {
  const train = (t: number) => decay(2.3, 0.8, 8)(t) + 6 * Math.max(0, t - 0.6);

  it.each(SMOOTH)('is no divergence where the validation loss falls %s, and the disagreement is said', (_, validation) => {
    for (const log of [
      ...logs({ train, validation }),
      ...logs({ train, validation, noise: 0 }),
      ...logs({ train, validation, points: 25 }),
    ]) {
      expect(findingsOf(log, 'diverging')).toEqual([]);
      const warning = diagnoseLog(log).warnings.find(({ code }) => code === 'CURVES_DISAGREE')!;
      expect(warning.message).toMatch(/the training loss fell to .* and ended at .*; the validation loss falls meanwhile/);
    }
  });
  it('leaves a run healthy by its validation loss alone, and says so', () => {
    for (const log of [
      ...logs({ train, validation: decay(2.3, 0.4, 4) }),
      ...logs({ train, validation: decay(2.3, 0.4, 3), points: 25 }),
    ]) {
      const { confidence, text } = only(log, 'healthy');
      expect([confidence, text]).toEqual([
        'low',
        'the validation loss falls and flattens towards the end, and the training loss does not follow it',
      ]);
    }
  });
  it('is a divergence of low confidence where the validation loss stands still', () => {
    for (const log of logs({ train, validation: decay(2.3, 0.9, 20) })) {
      const { confidence, text } = only(log, 'diverging');
      expect(confidence).toBe('low');
      expect(text).toContain('the validation loss stands still meanwhile');
    }
  });
  it.each<[string, (t: number) => number]>([
    ['rises with it', (t) => decay(2.3, 0.9, 8)(t) + 6 * Math.max(0, t - 0.6)],
    ['falls on for a while and then rises', (t) => 2.3 - 1.6 * t + 9 * Math.max(0, t - 0.8)],
  ])('is a divergence of high confidence where the validation loss %s', (_, validation) => {
    for (const log of logs({ train, validation })) {
      const { confidence, text } = only(log, 'diverging');
      expect(confidence).toBe('high');
      expect(text).toMatch(/the training loss fell to .*; the validation loss rises meanwhile/);
    }
  });
  it('is a divergence of high confidence where validation ended before', () => {
    for (const log of logs({ train, validation: decay(2.3, 0.4, 2) })) {
      log.validation = log.validation.filter(({ step }) => step < 1300);
      expect(only(log, 'diverging').confidence).toBe('high');
    }
  });
  it('is compared with a single validation after it', () => {
    const late = (t: number) => decay(2.3, 0.8, 8)(t) + 20 * Math.max(0, t - 0.85);
    for (const log of logs({ train: late, validation: (t) => 2.3 - t, noise: 0.005 })) {
      log.validation = log.validation.filter((_, index) => index === 0 || index % 8 === 7);
      expect(findingsOf(log, 'diverging')).toEqual([]);
    }
  });
});

describe('a training loss that is not finite', () => {
  it('is a divergence of high confidence whatever the validation loss does', () => {
    for (const broken of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const [log] = logs({ train: (t) => (t > 0.6 ? broken : decay(2.3, 1, 4)(t)), validation: decay(2.3, 0.4, 3) });
      const { confidence, text } = only(log!, 'diverging');
      expect(confidence).toBe('high');
      expect(text).toMatch(/^the training loss is not finite at 80 of 200 points, the first at 60 % of the run$/);
    }
  });
  it('is one also when hardly any of it is finite', () => {
    const [log] = logs({ train: (t) => (t > 0.01 ? Number.NaN : 2.3), validation: decay(2.3, 0.4, 3) });
    expect(only(log!, 'diverging')).toMatchObject({
      confidence: 'high',
      text: expect.stringContaining('the training loss is not finite at'),
    });
  });
});

describe('a training loss that stands still', () => {
  const middle = (t: number) => (t < 0.3 ? decay(2.3, 1.2, 20)(t) : t < 0.65 ? 1.2 : decay(1.2, 0.4, 12)(t - 0.65));
  const start = (t: number) => (t < 0.4 ? 2.3 : decay(2.3, 0.4, 10)(t - 0.4));

  it.each(SMOOTH)('is no plateau where the validation loss falls %s', (_, validation) => {
    for (const train of [middle, start]) {
      for (const log of [...logs({ train, validation, noise: 0.01 }), ...logs({ train, validation, noise: 0 })]) {
        expect(findingsOf(log, 'plateau')).toEqual([]);
      }
    }
  });
  it.each([
    ['in the middle', middle],
    ['at the start', start],
  ])('%s is a plateau where the validation loss stands still too', (_, train) => {
    for (const log of logs({ train, validation: (t) => train(t) + 0.1, noise: 0.01 })) {
      const { confidence, text } = only(log, 'plateau');
      expect(confidence).toBe('medium');
      expect(text).toMatch(/^the training loss .*; the validation loss stands still there$/);
    }
  });
  it('is a plateau of low confidence where the validation loss rises or has too few points', () => {
    for (const log of logs({ train: middle, validation: (t) => middle(t) + (t < 0.65 ? t : 0.65), noise: 0.01 })) {
      expect(only(log, 'plateau')).toMatchObject({ confidence: 'low', text: expect.stringContaining('the validation loss rises there') });
      log.validation = log.validation.filter((_, index) => index < 8 || index > 30);
      expect(only(log, 'plateau')).toMatchObject({ confidence: 'low', text: expect.stringContaining('too few points there') });
    }
  });
});

describe('what only the training loss shows', () => {
  const base = decay(2, 0.6, 4);
  const uneven = (index: number) => 0.8 * Math.sin(index * index);
  const falling = (t: number) => 2 - t;
  const settled = decay(2, 0.7, 40);
  const heard = 'the validation loss is smooth and still falls';

  it.each<[string, Kind, Run['train'], [unheard: string, lowered: string]]>([
    ['scatter', 'noisy', (t, index) => base(t) + uneven(index), ['high', 'medium']],
    ['spikes', 'noisy', (t, index) => base(t) + (index % 43 === 42 ? 3 : 0), ['medium', 'low']],
    ['periods', 'periodic', (t, index) => base(t) + 0.3 * Math.sin((2 * Math.PI * index) / 20), ['high', 'medium']],
  ])('%s: less sure where the validation loss is smooth and still falls', (_, kind, train, [unheard, lowered]) => {
    for (const log of logs({ train, validation: falling })) {
      const { confidence, text } = only(log, kind);
      expect([confidence, text.startsWith('the training loss'), text.endsWith(heard)]).toEqual([lowered, true, true]);
    }
    for (const log of [...logs({ train, validation: settled }), ...logs({ train })]) {
      const { confidence, text } = only(log, kind);
      expect([confidence, text.startsWith('the training loss'), text.includes(heard)]).toEqual([unheard, true, false]);
    }
  });
  it('and the validation loss shows as well stays as sure as it was', () => {
    for (const log of logs({ train: (t, index) => base(t) + uneven(index), validation: (t, index) => falling(t) + uneven(index) })) {
      expect(only(log, 'noisy')).toMatchObject({
        confidence: 'high',
        text: expect.stringMatching(/training loss scatters.*validation loss scatters/),
      });
    }
  });
});
