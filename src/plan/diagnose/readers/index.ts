/** Finds out which program wrote a log, and reads it. */
import { UsageError } from '../../../errors.js';
import type { TrainingLog } from '../log.js';
import { isTrainerState, readTrainerState } from './hf-trainer.js';
import { type Columns, readCsvLog, readJsonLines } from './table.js';
import { type EventFile, isEventFile, readEventFiles } from './tensorboard.js';

export type { Columns, EventFile };

const EXPECTED =
  "a log is a Hugging Face trainer_state.json, Lightning's metrics.csv, Keras' CSV, TensorBoard event files, JSON lines, or any CSV with --columns";

/**
 * Reads a log from one file, or several event files of one run. Throws UsageError naming the file when it is empty, is no
 * log that is known, or holds no loss.
 */
export function readTrainingLog(files: EventFile[], columns: Columns = {}): TrainingLog {
  const [first] = files;
  if (!first || first.bytes.length === 0) throw new UsageError('EMPTY_LOG', `${first?.path ?? 'log'}: the file is empty`, EXPECTED);
  const log = isEventFile(first.bytes) ? readEventFiles(files) : readText(first, columns);
  if (log.train.length === 0 && log.validation.length === 0) {
    throw new UsageError(
      'EMPTY_LOG',
      `${first.path}: no loss has been logged`,
      'wait until the run has logged something, or name the columns with --columns',
    );
  }
  return log;
}

function readText({ path, bytes }: EventFile, columns: Columns): TrainingLog {
  const text = new TextDecoder().decode(bytes);
  if (text.includes('\0')) throw new UsageError('BAD_LOG', `${path}: not a log that is known`, EXPECTED);
  const whole = text.trimStart().startsWith('{') ? parseJson(text) : undefined;
  if (isTrainerState(whole)) {
    const log = readTrainerState(whole);
    if (log === null) throw new UsageError('BAD_LOG', `${path}: log_history is not what the Trainer writes`, EXPECTED);
    return log;
  }
  return text.trimStart().startsWith('{') ? readJsonLines(text, path, columns, parseJson) : readCsvLog(text, path, columns);
}

/** JSON as Python writes it: NaN and Infinity are numbers there. Undefined when it is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const marked = text.replace(/([:[,]\s*)(NaN|-?Infinity)(?=\s*[,}\]])/g, '$1"__$2"');
    if (marked === text) return undefined;
    try {
      return JSON.parse(marked, (_key, value) => (typeof value === 'string' && value.startsWith('__') ? numberNamed(value) : value));
    } catch {
      return undefined;
    }
  }
}

function numberNamed(text: string): unknown {
  return { __NaN: Number.NaN, __Infinity: Number.POSITIVE_INFINITY, '__-Infinity': Number.NEGATIVE_INFINITY }[text] ?? text;
}
