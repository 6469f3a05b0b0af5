/** Hugging Face Trainer's trainer_state.json: `log_history` mixes training rows, evaluation rows and one final row. */
import { z } from 'zod';
import { emptyLog, type Point, type TrainingLog } from '../log.js';

// Losses stay unchecked here: they may be NaN or infinite, which is what a diagnosis looks for.
const schema = z.looseObject({ log_history: z.array(z.looseObject({ step: z.number().optional(), epoch: z.number().nullish() })) });

export function isTrainerState(content: unknown): boolean {
  return typeof content === 'object' && content !== null && Array.isArray((content as { log_history?: unknown }).log_history);
}

/** Null when `content` is not a trainer state. */
export function readTrainerState(content: unknown): TrainingLog | null {
  const parsed = schema.safeParse(content);
  if (!parsed.success) return null;
  const log = emptyLog('hf-trainer', 'step');
  log.names = { train: 'loss', validation: 'eval_loss' };
  for (const row of parsed.data.log_history) {
    if (row.step === undefined) continue;
    const add = (points: Point[], value: unknown) => typeof value === 'number' && points.push({ step: row.step!, value });
    add(log.train, row.loss);
    add(log.validation, row.eval_loss);
    add(log.gradientNorm, row.grad_norm);
    add(log.learningRate, row.learning_rate);
  }
  const dated = parsed.data.log_history.filter((row) => row.step !== undefined && (row.epoch ?? 0) > 0).at(-1);
  if (dated) log.stepsPerEpoch = Math.round(dated.step! / dated.epoch!);
  warnOfFilter(log);
  return log;
}

/** `logging_nan_inf_filter` (on by default) replaces a loss that is not finite, so a diverged run logs zeros or repeats. */
function warnOfFilter(log: TrainingLog): void {
  const values = log.train.map(({ value }) => value);
  const zeros = values.filter((value) => value === 0).length;
  const broken = log.gradientNorm.filter(({ value }) => !Number.isFinite(value)).length;
  if (zeros > 0 || broken > 0) {
    log.warnings.push({
      code: 'NAN_FILTER',
      message: `${zeros} logged losses are exactly 0 and ${broken} gradient norms are not finite: the Trainer's logging_nan_inf_filter hides losses that are NaN`,
      hint: 'log with logging_nan_inf_filter=False to see where it broke',
    });
  }
  log.warnings.push({
    code: 'LOSS_SCALE_BY_VERSION',
    message:
      'transformers before 4.46 logged losses and gradient norms that depend on gradient accumulation: compare their level within one version only',
    hint: 'only the shape of the curves is judged here',
  });
}
