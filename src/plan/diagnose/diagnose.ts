/** Reads a run's curves as a practitioner would: what is wrong, from what one can tell, and what to try next. */
import { UndeterminedError, type Warning } from '../../errors.js';
import { describeCurve, FEWEST_POINTS } from './curve.js';
import { brokenIn, findDivergence, warnOfRise } from './diverging.js';
import { advise, type Curves, type Finding, type Judge, type Kind, nameOf, PLAYBOOK } from './finding.js';
import type { TrainingLog } from './log.js';
import { findNoise } from './noisy.js';
import { findOverfitting } from './overfitting.js';
import { findPeriodicity, findRepetition } from './periodic.js';
import { findPlateau } from './plateau.js';
import { findTooLong, findTooShort } from './run-length.js';
import { findUnderfitting } from './underfitting.js';

export interface Diagnosis {
  /** The first finding's kind. */
  verdict: Kind;
  /** The one to act on first comes first. */
  findings: Finding[];
  warnings: Warning[];
}

const JUDGES: Judge[] = [
  findDivergence,
  findOverfitting,
  findPeriodicity,
  findNoise,
  findUnderfitting,
  findTooLong,
  findPlateau,
  findTooShort,
];

/** Throws UndeterminedError when the log has too few finite points to say anything. */
export function diagnoseLog(log: TrainingLog): Diagnosis {
  const train = describeCurve(log.train);
  const validation = describeCurve(log.validation);
  const judged = validation ?? train;
  if (judged === null) {
    const broken = brokenIn(log);
    if (broken.length > 0) return brokenFromTheStart(log, broken);
    throw new UndeterminedError(
      'TOO_FEW_POINTS',
      `the log has ${log.train.length} training and ${log.validation.length} validation losses: at least ${FEWEST_POINTS} of one are needed`,
      'log more often, or wait',
    );
  }
  const curves: Curves = { log, train, validation, judged, repetition: findRepetition(train ?? judged, log) };
  const findings = JUDGES.flatMap((judge) => judge(curves) ?? []);
  const verdict = findings[0]?.kind ?? 'healthy';
  const disagreement = verdict === 'diverging' ? null : warnOfRise(curves);
  const warnings = [...log.warnings, ...(disagreement === null ? [] : [disagreement])];
  if (validation === null) {
    warnings.push({
      code: 'NO_VALIDATION',
      message: 'the log has no validation loss: overfitting cannot be seen, and what is said of the run is weaker',
      hint: 'evaluate on a separate validation set during training',
    });
  }
  return { verdict, findings: findings.length > 0 ? findings : [healthy(curves, disagreement === null)], warnings };
}

/** `follows` is whether the training loss does what the validation loss does. */
function healthy({ validation, train, judged }: Curves, follows: boolean): Finding {
  const both = validation !== null && train !== null;
  const name = both && follows ? 'the training loss' : nameOf(judged, { validation });
  const other = follows ? ', and the validation loss follows it' : ', and the training loss does not follow it';
  return {
    kind: 'healthy',
    confidence: !both || !follows ? 'low' : judged.points.length < 10 ? 'medium' : 'high',
    evidence: [`${name} falls and flattens towards the end${both ? other : ''}`],
    causes: [],
    advice: [advise('nothing to change; to go further, tune the learning rate first and the batch last', 'none', null, 'medium', PLAYBOOK)],
  };
}

function brokenFromTheStart(log: TrainingLog, broken: string[]): Diagnosis {
  const finding: Finding = {
    kind: 'diverging',
    confidence: 'high',
    evidence: broken,
    causes: ['learning rate too high, or no warm-up', 'fp16 overflow', 'values in the data that are not finite'],
    advice: [advise('a tenth of the learning rate, with a warm-up', 'learning-rate', 0.1, 'high', 'Goyal et al. 2017 (arXiv 1706.02677)')],
  };
  return { verdict: 'diverging', findings: [finding], warnings: log.warnings };
}
