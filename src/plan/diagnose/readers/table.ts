/** Logs that are a table: Lightning's sparse metrics.csv, Keras' CSVLogger, any CSV with named columns, and JSON lines. */
import { UsageError } from '../../../errors.js';
import { numberOf, parseSheet } from '../../csv.js';
import { emptyLog, type LogFormat, type Point, preferName, roleOf, type TrainingLog } from '../log.js';

/** Columns that the user names: `train=...,val=...,step=...`. */
export interface Columns {
  train?: string;
  val?: string;
  step?: string;
}

const STEP_NAMES = ['step', 'global_step', 'iteration', 'iter', 'batch', 'trainer/global_step', 'epoch'];

/** Rows of one table by column name, absent cells null. */
type Table = { header: string[]; cell: (row: number, name: string) => number | null; rows: number };

/** Reads CSV. Throws UsageError naming the file and what it lacks. */
export function readCsvLog(text: string, file: string, columns: Columns): TrainingLog {
  const sheet = parseSheet(text, file);
  const index = new Map(sheet.header.map((name, column) => [name, column]));
  const table: Table = {
    header: sheet.header,
    rows: sheet.rows.length,
    cell: (row, name) => numberOf(sheet.rows[row]![index.get(name)!]!),
  };
  return readTable(table, file, columns, formatOf(sheet.header, columns));
}

/** Reads one JSON object a line; lines that are none are ignored. */
export function readJsonLines(text: string, file: string, columns: Columns, parseLine: (line: string) => unknown): TrainingLog {
  const records = text.split('\n').flatMap((line) => {
    if (!line.trimStart().startsWith('{')) return [];
    const record = parseLine(line);
    return typeof record === 'object' && record !== null ? [record as Record<string, unknown>] : [];
  });
  if (records.length === 0)
    throw new UsageError(
      'BAD_LOG',
      `${file}: no line is a JSON object`,
      'a JSON-lines log has one object a line, such as {"step": 1, "loss": 2.3}',
    );
  const header = [...new Set(records.flatMap((record) => Object.keys(record)))];
  const cell = (row: number, name: string) => {
    const value = records[row]![name];
    return typeof value === 'number' ? value : typeof value === 'string' ? numberOf(value) : null;
  };
  return readTable({ header, cell, rows: records.length }, file, columns, 'json-lines');
}

function formatOf(header: string[], columns: Columns): LogFormat {
  if (columns.train !== undefined || columns.val !== undefined) return 'csv';
  if (header.includes('step') && header.includes('epoch')) return 'lightning';
  return header.includes('epoch') && header.includes('loss') ? 'keras' : 'csv';
}

function readTable(table: Table, file: string, columns: Columns, format: LogFormat): TrainingLog {
  const stepName = pick(table, file, columns.step, 'step') ?? STEP_NAMES.find((name) => table.header.includes(name)) ?? null;
  const byRole = (role: 'train' | 'validation') => preferName(table.header.filter((name) => roleOf(name) === role));
  const given = columns.train !== undefined || columns.val !== undefined;
  const train = pick(table, file, columns.train, 'train') ?? (given ? null : byRole('train'));
  const validation = pick(table, file, columns.val, 'val') ?? (given ? null : byRole('validation'));
  if (train === null && validation === null) {
    throw new UsageError(
      'BAD_LOG',
      `${file}: found no loss among the columns ${table.header.join(', ')}`,
      'name them: --columns train=NAME,val=NAME,step=NAME',
    );
  }
  const log = emptyLog(format, stepName === null || stepName === 'epoch' ? (stepName === 'epoch' ? 'epoch' : 'step') : 'step');
  const steps = stepsOf(table, stepName, log);
  const series = (name: string | null): Point[] => {
    if (name === null) return [];
    return steps.flatMap((step, row) => {
      const value = table.cell(row, name);
      return value === null || step === null ? [] : [{ step, value }];
    });
  };
  log.train = series(train);
  log.validation = series(validation);
  log.names = { train, validation };
  log.gradientNorm = series(table.header.find((name) => /grad(ient)?_?norm/i.test(name)) ?? null);
  log.learningRate = series(table.header.find((name) => /^(lr|learning_rate)/i.test(name)) ?? null);
  log.stepsPerEpoch = stepName === 'epoch' ? null : stepsPerEpoch(table, steps);
  return log;
}

/** A log that was appended to starts again at a low step: its later part is counted on from where it was. */
function stepsOf(table: Table, name: string | null, log: TrainingLog): Array<number | null> {
  let offset = 0;
  let last = Number.NEGATIVE_INFINITY;
  const steps: Array<number | null> = [];
  for (let row = 0; row < table.rows; row++) {
    const raw = name === null ? row : table.cell(row, name);
    if (raw === null || !Number.isFinite(raw)) {
      steps.push(null);
      continue;
    }
    if (raw + offset < last) {
      offset = last + 1 - raw;
      log.warnings.push({
        code: 'APPENDED_RUN',
        message: `row ${row + 1} starts again at ${name ?? 'row'} ${raw}: the log holds more than one run`,
        hint: 'the runs are read as one after the other; split the file to judge them apart',
      });
    }
    last = raw + offset;
    steps.push(last);
  }
  return steps;
}

/** Steps between the first rows of neighbouring epochs, where both are logged. */
function stepsPerEpoch(table: Table, steps: Array<number | null>): number | null {
  if (!table.header.includes('epoch')) return null;
  const known = steps.flatMap((step, row) => {
    const epoch = table.cell(row, 'epoch');
    return step === null || epoch === null ? [] : [{ step, epoch }];
  });
  const [first, last] = [known[0], known.at(-1)];
  if (!first || !last || last.epoch <= first.epoch) return null;
  const starts = known.filter(({ epoch }, index) => index === 0 || known[index - 1]!.epoch !== epoch);
  const whole = starts.filter(({ epoch }) => Number.isInteger(epoch));
  const [a, b] = [whole[0], whole.at(-1)];
  if (a && b && b.epoch > a.epoch && whole.length === starts.length) return Math.round((b.step - a.step) / (b.epoch - a.epoch));
  return Math.round((last.step - first.step) / (last.epoch - first.epoch));
}

function pick(table: Table, file: string, name: string | undefined, role: string): string | null {
  if (name === undefined) return null;
  if (table.header.includes(name)) return name;
  throw new UsageError(
    'BAD_COLUMNS',
    `--columns ${role}=${name}: ${file} has no such column`,
    `its columns are ${table.header.join(', ')}`,
  );
}
