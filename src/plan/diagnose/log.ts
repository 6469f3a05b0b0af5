/** A training run's curves, whatever wrote them. */
import type { Warning } from '../../errors.js';

export interface Point {
  /** Optimizer step or epoch, as the log counts. */
  step: number;
  /** NaN and infinities stay as they were logged. */
  value: number;
}

export const LOG_FORMATS = ['hf-trainer', 'lightning', 'keras', 'tensorboard', 'json-lines', 'csv'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

export interface TrainingLog {
  format: LogFormat;
  /** What `step` counts. */
  unit: 'step' | 'epoch';
  train: Point[];
  validation: Point[];
  gradientNorm: Point[];
  learningRate: Point[];
  stepsPerEpoch: number | null;
  /** The names of the columns or tags that were taken. */
  names: { train: string | null; validation: string | null };
  warnings: Warning[];
}

export function emptyLog(format: LogFormat, unit: TrainingLog['unit']): TrainingLog {
  return {
    format,
    unit,
    train: [],
    validation: [],
    gradientNorm: [],
    learningRate: [],
    stepsPerEpoch: null,
    names: { train: null, validation: null },
    warnings: [],
  };
}

/** Whether a series' name is the training or the validation loss; null when it is neither. */
export function roleOf(name: string): 'train' | 'validation' | null {
  const text = name.toLowerCase();
  if (!/loss|nll|perplexity|cross_?entropy/.test(text)) return null;
  if (/(^|[^a-z])(e?val(id(ation)?|uation)?|test|dev)([^a-z]|$)/.test(text.replace(/_/g, ' '))) return 'validation';
  return 'train';
}

/** The best of several names for one role: the plain loss before losses of parts, a step's before an epoch's. */
export function preferName(names: string[]): string | null {
  const rank = (name: string) => {
    const text = name.toLowerCase();
    const plain = /^((train|training|val|valid|validation|eval|test|dev)[_/ ]?)?(epoch_)?loss$/.test(text) ? 0 : 4;
    return plain + (/epoch/.test(text) ? 1 : 0) + text.length / 1000;
  };
  return [...names].sort((a, b) => rank(a) - rank(b))[0] ?? null;
}
