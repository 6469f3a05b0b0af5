/** Synthetic runs of known kinds: a curve over the run's share t in [0, 1], with seeded noise. */
import type { Kind } from '../../../src/plan/diagnose/finding.js';
import { emptyLog, type TrainingLog } from '../../../src/plan/diagnose/log.js';
import { createRandom } from '../../../src/random.js';

export interface Run {
  name: string;
  kind: Kind;
  train: (t: number, index: number) => number;
  validation?: (t: number, index: number) => number;
  /** Standard deviation of the noise on training and validation points. */
  noise?: number;
  /** Points of the training curve; the validation curve has a fifth of them, at least 10. */
  points?: number;
}

export const decay = (from: number, to: number, rate: number) => (t: number) => to + (from - to) * Math.exp(-rate * t);
const steps = (points: number, period: number, swing: number, base: (t: number) => number) => (t: number, index: number) =>
  base(t) + (index < points / 20 ? 0 : swing * Math.sin((2 * Math.PI * index) / period));

export const RUNS: Run[] = [
  { name: 'healthy exponential', kind: 'healthy', train: decay(2.3, 0.3, 5), validation: decay(2.3, 0.4, 5) },
  { name: 'healthy, slower', kind: 'healthy', train: decay(2.3, 0.2, 4), validation: decay(2.35, 0.35, 4) },
  {
    name: 'healthy over few epochs',
    kind: 'healthy',
    train: decay(2.3, 0.3, 4.5),
    validation: decay(2.3, 0.4, 4.5),
    points: 20,
    noise: 0.01,
  },
  {
    name: 'healthy with batch noise',
    kind: 'healthy',
    train: decay(2.3, 0.3, 5),
    validation: decay(2.3, 0.4, 5),
    noise: 0.08,
    points: 2000,
  },
  {
    name: 'healthy language model',
    kind: 'healthy',
    train: (t) => 3 + 7.8 * (1 + 400 * t) ** -0.7,
    validation: (t) => 3.1 + 7.7 * (1 + 400 * t) ** -0.7,
    noise: 0.05,
    points: 1000,
  },
  { name: 'healthy, done early and low', kind: 'healthy', train: decay(2.3, 0.05, 8), validation: decay(2.3, 0.1, 8) },
  {
    name: 'overfitting, validation rises',
    kind: 'overfitting',
    train: decay(2.3, 0.02, 5),
    validation: (t) => decay(2.3, 0.5, 9)(t) + 0.8 * Math.max(0, t - 0.3),
  },
  {
    name: 'overfitting over 15 epochs',
    kind: 'overfitting',
    train: decay(1.5, 0.05, 4),
    validation: (t) => 0.6 + 0.9 * Math.exp(-8 * t) + 0.5 * t ** 2,
    points: 15,
    noise: 0.005,
  },
  {
    name: 'overfitting, mild',
    kind: 'overfitting',
    train: decay(2.3, 0.2, 3),
    validation: (t) => decay(2.3, 0.8, 8)(t) + 0.15 * Math.max(0, t - 0.4),
  },
  { name: 'overfitting from the start', kind: 'overfitting', train: decay(0.7, 0.01, 5), validation: (t) => 0.7 + 1.2 * t },
  { name: 'overfitting, validation flat and far above', kind: 'overfitting', train: decay(2.3, 0.02, 4), validation: decay(2.3, 1.5, 12) },
  {
    name: 'overfitting under noise',
    kind: 'overfitting',
    train: decay(2.3, 0.1, 4),
    validation: (t) => decay(2.3, 0.6, 10)(t) + 0.6 * Math.max(0, t - 0.3),
    noise: 0.06,
    points: 500,
  },
  { name: 'underfitting, flat', kind: 'underfitting', train: () => 2.3, validation: () => 2.31, noise: 0.005 },
  {
    name: 'underfitting, a little fall',
    kind: 'underfitting',
    train: decay(2.3, 2.2, 12),
    validation: decay(2.31, 2.22, 12),
    noise: 0.005,
  },
  {
    name: 'underfitting over 30 epochs',
    kind: 'underfitting',
    train: decay(0.69, 0.66, 8),
    validation: decay(0.69, 0.67, 8),
    points: 30,
    noise: 0.002,
  },
  { name: 'noisy', kind: 'noisy', train: decay(2, 0.6, 5), validation: decay(2, 0.7, 5), noise: 0.4 },
  { name: 'noisy, very', kind: 'noisy', train: decay(1.5, 0.8, 5), validation: decay(1.5, 0.8, 5), noise: 0.5, points: 1000 },
  { name: 'noisy training only', kind: 'noisy', train: decay(2, 0.5, 4), noise: 0.35, points: 400 },
  {
    name: 'diverging to NaN',
    kind: 'diverging',
    train: (t) => (t > 0.6 ? Number.NaN : decay(2.3, 1, 4)(t)),
    validation: (t) => (t > 0.6 ? Number.NaN : decay(2.3, 1.1, 4)(t)),
  },
  { name: 'diverging to infinity', kind: 'diverging', train: (t) => (t > 0.5 ? Number.POSITIVE_INFINITY : 2.3 * Math.exp(6 * t)) },
  {
    name: 'diverging, loss climbs',
    kind: 'diverging',
    train: (t) => decay(2.3, 0.8, 8)(t) + 6 * Math.max(0, t - 0.6),
    validation: (t) => decay(2.3, 0.9, 8)(t) + 6 * Math.max(0, t - 0.6),
  },
  { name: 'diverging from the start', kind: 'diverging', train: (t) => 2.3 + 3 * t, validation: (t) => 2.3 + 3 * t },
  { name: 'diverging, blows up late', kind: 'diverging', train: (t) => decay(10.8, 4, 8)(t) + (t > 0.8 ? 5 : 0), noise: 0.05, points: 500 },
  { name: 'plateau at a high level', kind: 'plateau', train: decay(2.3, 1.5, 16), validation: decay(2.3, 1.55, 16) },
  {
    name: 'plateau at the start',
    kind: 'plateau',
    train: (t) => (t < 0.4 ? 2.3 : decay(2.3, 0.4, 10)(t - 0.4)),
    validation: (t) => (t < 0.4 ? 2.3 : decay(2.3, 0.5, 10)(t - 0.4)),
    noise: 0.01,
  },
  {
    name: 'plateau in the middle',
    kind: 'plateau',
    train: (t) => (t < 0.6 ? decay(2.3, 1.2, 20)(t) : decay(1.2, 0.4, 12)(t - 0.6)),
    validation: (t) => (t < 0.6 ? decay(2.3, 1.3, 20)(t) : decay(1.3, 0.5, 12)(t - 0.6)),
    noise: 0.01,
  },
  {
    name: 'periodic once an epoch',
    kind: 'periodic',
    train: steps(400, 40, 0.15, decay(2, 0.6, 5)),
    validation: decay(2, 0.7, 5),
    noise: 0.03,
    points: 400,
  },
  {
    name: 'periodic, saw teeth',
    kind: 'periodic',
    train: (t, index) => decay(2, 0.8, 4)(t) + 0.3 * ((index % 25) / 25),
    noise: 0.03,
    points: 500,
  },
  { name: 'too short, falls to the end', kind: 'too-short', train: (t) => 2.3 - 1.2 * t, validation: (t) => 2.3 - 1.1 * t },
  { name: 'too short, half a decay', kind: 'too-short', train: decay(2.3, 0.3, 1.5), validation: decay(2.3, 0.4, 1.5), noise: 0.02 },
  {
    name: 'too short over 10 epochs',
    kind: 'too-short',
    train: decay(2.3, 0.2, 1.8),
    validation: decay(2.3, 0.3, 1.8),
    points: 10,
    noise: 0.005,
  },
  { name: 'too long', kind: 'too-long', train: decay(2.3, 0.3, 60), validation: decay(2.3, 0.4, 60), points: 400, noise: 0.01 },
  { name: 'too long, training only', kind: 'too-long', train: decay(2.3, 0.3, 80), points: 400, noise: 0.01 },
  {
    name: 'healthy, one over t',
    kind: 'healthy',
    train: (t) => 0.2 + 2 / (1 + 10 * t),
    validation: (t) => 0.25 + 2 / (1 + 10 * t),
    points: 100,
  },
  {
    name: 'healthy, little noise in a small loss',
    kind: 'healthy',
    train: decay(0.7, 0.05, 4),
    validation: decay(0.7, 0.08, 4),
    points: 50,
    noise: 0.01,
  },
  {
    name: 'overfitting by a straight rise over 50 epochs',
    kind: 'overfitting',
    train: (t) => 1 / (1 + 50 * t),
    validation: (t) => 1 / (1 + 50 * t) + 0.5 * Math.max(0, t - 0.3),
    points: 50,
    noise: 0.01,
  },
  { name: 'underfitting, creeping', kind: 'underfitting', train: (t) => 2.3 - 0.08 * t, validation: (t) => 2.32 - 0.07 * t, noise: 0.005 },
  { name: 'noisy over 60 epochs', kind: 'noisy', train: decay(1.5, 0.5, 4), validation: decay(1.5, 0.6, 4), points: 60, noise: 0.25 },
  {
    name: 'noisy validation',
    kind: 'noisy',
    train: decay(2, 0.5, 5),
    validation: (t, index) => decay(2, 0.8, 5)(t) + (index % 2 === 0 ? 0.35 : -0.35) * (0.6 + 0.4 * Math.sin(7 * index)),
  },
  { name: 'plateau at a third', kind: 'plateau', train: decay(2.8, 0.8, 20), validation: decay(2.8, 0.85, 20), points: 100 },
  {
    name: 'plateau over 30 epochs',
    kind: 'plateau',
    train: decay(2.3, 1.2, 15),
    validation: decay(2.3, 1.25, 15),
    points: 30,
    noise: 0.01,
  },
  {
    name: 'diverging by a fifth each step',
    kind: 'diverging',
    train: (t) => (t < 0.6 ? decay(2, 0.3, 6)(t) : 0.35 * 1.2 ** ((t - 0.6) * 50)),
    points: 60,
  },
  {
    name: 'periodic every ten points',
    kind: 'periodic',
    train: steps(100, 10, 0.12, decay(1.8, 0.8, 4)),
    validation: decay(1.8, 0.9, 4),
    points: 100,
    noise: 0.02,
  },
  {
    name: 'too short over 20 epochs',
    kind: 'too-short',
    train: decay(2, 0.2, 1.8),
    validation: decay(2, 0.3, 1.8),
    points: 20,
    noise: 0.01,
  },
  {
    name: 'too long over 100 epochs',
    kind: 'too-long',
    train: decay(2.2, 0.2, 33),
    validation: decay(2.2, 0.25, 33),
    points: 100,
    noise: 0.01,
  },
];

/** The run as a log; `seed` changes its noise. */
export function logOf(run: Run, seed: number): TrainingLog {
  const { points = 200, noise = 0.02 } = run;
  const random = createRandom(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const series = (curve: Run['train'], count: number) =>
    Array.from({ length: count }, (_, index) => {
      const share = count === 1 ? 0 : index / (count - 1);
      return { step: Math.round(share * points * 10), value: curve(share, index) + noise * normal() };
    });
  const log = emptyLog('csv', 'step');
  log.train = series(run.train, points);
  if (run.validation) log.validation = series(run.validation, Math.max(Math.min(points, 10), Math.floor(points / 5)));
  return log;
}
