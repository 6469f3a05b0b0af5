/** What a diagnosis says: a kind, how sure, from what, why, and what to do next. */
import type { Confidence } from '../advice.js';
import type { Curve } from './curve.js';
import type { TrainingLog } from './log.js';
import type { Repetition } from './periodic.js';

export const KINDS = [
  'overfitting',
  'underfitting',
  'noisy',
  'diverging',
  'plateau',
  'periodic',
  'too-short',
  'too-long',
  'healthy',
] as const;
export type Kind = (typeof KINDS)[number];

export interface Step {
  text: string;
  lever: 'learning-rate' | 'batch' | 'regularization' | 'steps' | 'data' | 'precision' | 'model' | 'none';
  /** What the lever's present value is multiplied by, null when there is no such number. */
  factor: number | null;
  confidence: Confidence;
  source: string;
}

export interface Finding {
  kind: Kind;
  confidence: Confidence;
  evidence: string[];
  /** Most likely first. */
  causes: string[];
  /** Best first; batch size is the last lever where it is one at all. */
  advice: Step[];
}

/** How sure, and from what. */
export type Grounds = Pick<Finding, 'confidence' | 'evidence'>;

export interface Curves {
  log: TrainingLog;
  train: Curve | null;
  validation: Curve | null;
  /** The curve that convergence is judged on: validation where there is one. */
  judged: Curve;
  /** The repeating pattern of the training curve (of the other one where that is missing). */
  repetition: Repetition | null;
}

export type Judge = (curves: Curves) => Finding | null;

export const PLAYBOOK = 'Google tuning playbook';
export const SHALLUE = 'Shallue et al. 2018 (arXiv 1811.03600)';
export const MCCANDLISH = 'McCandlish et al. 2018 (arXiv 1812.06162)';

export const advise = (text: string, lever: Step['lever'], factor: number | null, confidence: Confidence, source: string): Step => ({
  text,
  lever,
  factor,
  confidence,
  source,
});

export const nameOf = (curve: Curve, { validation }: Pick<Curves, 'validation'>) =>
  `the ${curve === validation ? 'validation' : 'training'} loss`;

export const percent = (share: number) => `${Math.round(share * 100)} %`;
