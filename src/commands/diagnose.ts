import { string as argument } from '@oclif/core/args';
import { string } from '@oclif/core/flags';
import { UsageError } from '../errors.js';
import { renderDiagnosis } from '../output/diagnose-text.js';
import { diagnoseLog } from '../plan/diagnose/diagnose.js';
import { type Columns, readTrainingLog } from '../plan/diagnose/readers/index.js';
import { type Answer, BaseCommand } from './base.js';
import { readLogFiles } from './input/log-files.js';

export default class Diagnose extends BaseCommand {
  static override summary = 'Read the curves of a training run: what is wrong, from what one can tell, and what to try next';
  static override description =
    "Reads Hugging Face trainer_state.json, Lightning's metrics.csv, Keras' CSVLogger, TensorBoard event files, JSON lines, and any CSV with --columns. A folder is searched for one of them.";
  static override examples = [
    '<%= config.bin %> diagnose outputs/checkpoint-500/trainer_state.json',
    '<%= config.bin %> diagnose lightning_logs/version_0',
    '<%= config.bin %> diagnose run.csv --columns train=loss,val=dev_loss,step=iteration --json',
  ];
  static override args = { log: argument({ required: true, description: 'a log, or the folder of a run' }) };
  static override flags = {
    columns: string({ helpValue: 'train=A,val=B,step=C', description: 'names of the columns of a table' }),
  };

  protected async answer(): Promise<Answer> {
    const { args, flags } = await this.parse(Diagnose);
    const log = readTrainingLog(await readLogFiles(args.log), parseColumns(flags.columns));
    const { warnings, ...diagnosis } = diagnoseLog(log);
    const { format, unit, train, validation, stepsPerEpoch, names } = log;
    const document = {
      ...diagnosis,
      log: { format, unit, trainPoints: train.length, validationPoints: validation.length, stepsPerEpoch, names },
    };
    return { document, warnings, text: () => renderDiagnosis(document, log) };
  }
}

const ROLES = ['train', 'val', 'step'] as const;

/** Throws UsageError where a part is not a role and a name. */
function parseColumns(text: string | undefined): Columns {
  const columns: Columns = {};
  for (const part of text === undefined ? [] : text.split(',')) {
    const [, role, name] = /^\s*(train|val|step)\s*=\s*(.+?)\s*$/.exec(part) ?? [];
    if (role === undefined || name === undefined) {
      throw new UsageError(
        'BAD_COLUMNS',
        `--columns: expected ${ROLES.map((each) => `${each}=NAME`).join(',')}, found "${part}"`,
        'for example --columns train=loss,val=dev_loss,step=iteration',
      );
    }
    columns[role as (typeof ROLES)[number]] = name;
  }
  return columns;
}
