import { option, string } from '@oclif/core/flags';
import { UsageError } from '../errors.js';
import { describeStudy, renderStudy } from '../output/tune-text.js';
import { SCALINGS } from '../plan/learning-rate.js';
import { planTuneSpace } from '../plan/tune-space.js';
import { DIRECTIONS, PRUNERS, SAMPLERS } from '../probe/tune/sampler.js';
import { runStudy, type StudyResult } from '../probe/tune/study.js';
import { OPTIMIZERS } from '../setup.js';
import { parseBytes, parseSeconds } from '../units.js';
import { type Answer, BaseCommand } from './base.js';
import { count, positive } from './flags.js';
import { commandOf, openSampler, parseBatches } from './input/tune-request.js';

const helpGroup = 'SHARED STUDY';

export default class Tune extends BaseCommand {
  static override summary =
    'Search the batch size as a hyperparameter of your own training command, with the learning rate re-scaled for each';
  static override examples = [
    '<%= config.bin %> tune --batches 16..1024 --reference-batch 64 --reference-lr 0.1 --optimizer momentum -- python3 train.py --batch {batch} --lr {lr}',
    '<%= config.bin %> tune --sampler bayesian --trials 30 --lr-spread 4 --reference-batch 64 --reference-lr 1e-3 --storage journal:///shared/study.log --study digits -- python3 train.py --batch {batch} --lr {lr}',
  ];
  static override description =
    'The command prints lines such as BATCHFIT {"metric": 0.93, "step": 4} on standard output: its validation metric, at a step that means the same for every batch (an epoch, say). The last line counts; earlier ones let hopeless trials be stopped.';
  static override flags = {
    batches: string({
      default: '16..1024',
      helpValue: '16..1024',
      description: 'batches to try: powers of two between both ends, or a list',
    }),
    'reference-batch': count({ required: true, description: 'batch of a setting that is known to work' }),
    'reference-lr': positive({ required: true, description: 'its learning rate' }),
    optimizer: option({ options: OPTIMIZERS })({
      default: 'adamw',
      description: 'what the command trains with; it decides the scaling rule',
    }),
    scaling: option({ options: SCALINGS.filter((each) => each !== 'sde') })({ default: 'auto', description: 'rule for the learning rate' }),
    'noise-scale': positive({ description: 'gradient noise scale in samples, see batchfit noise' }),
    'lr-spread': positive({ default: 1, description: "search from the rule's learning rate / X to it times X" }),
    sampler: option({ options: SAMPLERS })({ default: 'grid', description: 'how settings are chosen; bayesian needs Optuna' }),
    trials: count({ description: 'trials of the whole study [default: the whole grid, else 20]' }),
    direction: option({ options: DIRECTIONS })({ default: 'min', description: 'whether a good metric is small or large' }),
    pruner: option({ options: PRUNERS })({ default: 'median', description: 'what stops hopeless trials' }),
    'time-limit': string({ helpValue: '30m', description: 'for each trial [default: none]' }),
    'memory-cap': string({ helpValue: '4GiB', description: 'cap on the host memory of each trial, where the system can' }),
    seed: count({ min: 0, description: 'makes random and bayesian choices the same again' }),
    storage: string({ helpGroup, helpValue: 'URL', description: 'journal file (path or journal:///path) or database URL, kept by Optuna' }),
    study: string({ helpGroup, helpValue: 'NAME', default: 'batchfit', description: 'name of the study in its storage' }),
  };
  static override takesProgram = true;

  protected async answer(): Promise<Answer> {
    const { flags } = await this.parse(Tune);
    const { command, warnings: untold } = commandOf(this.program);
    const { optimizer, scaling, direction, sampler: kind, storage, study } = flags;
    const spread = flags['lr-spread'];
    if (spread < 1) throw new UsageError('BAD_SPREAD', `--lr-spread: expected a number of at least 1, found ${spread}`, 'write 2 or 4');
    const reference = { batch: flags['reference-batch'], learningRate: flags['reference-lr'] };
    const noiseScale = flags['noise-scale'] ?? null;
    const batches = parseBatches(flags.batches, '--batches');
    const { space, rule, warnings: ruled } = planTuneSpace({ batches, optimizer, reference, scaling, noiseScale, spread });
    const timeoutSeconds = flags['time-limit'] === undefined ? null : parseSeconds(flags['time-limit'], '--time-limit');
    const memoryCapBytes = flags['memory-cap'] === undefined ? null : parseBytes(flags['memory-cap'], '--memory-cap');
    const signal = this.interrupted;
    const request = { space, sampler: kind, trials: flags.trials, direction, pruner: flags.pruner, seed: flags.seed, storage, study };
    const { sampler, journal, warnings } = await openSampler(request, signal);
    const started = performance.now();
    let result: StudyResult;
    try {
      result = await runStudy({
        sampler,
        command,
        limits: { timeoutSeconds, memoryCapBytes },
        signal,
        onTrial: ({ number, batch, learningRate }, trial) => {
          const what = `trial ${number + 1} of ${sampler.budget}: batch ${batch}, learning rate ${learningRate}`;
          this.progress(trial === null ? `${what} ...` : `${what}: ${trial.outcome}${trial.metric === null ? '' : `, ${trial.metric}`}`);
        },
      });
    } finally {
      await sampler.close();
    }
    const description = describeStudy(result, {
      command: this.program,
      space,
      sampler: kind,
      direction,
      reference: { ...reference, optimizer, rule },
      budget: sampler.budget,
      shared: storage === undefined ? null : { storage, study },
      journal,
      seconds: (performance.now() - started) / 1000,
    });
    return {
      document: description,
      text: () => renderStudy(result, direction, rule),
      exitCode: description.best === null ? 4 : 0,
      warnings: [...untold, ...ruled, ...warnings, ...unfinished(result)],
    };
  }
}

function unfinished({ running, failure }: StudyResult) {
  const hint = 'run the same command again: it goes on with the study';
  return [
    ...(running > 0 ? [{ code: 'TRIALS_ELSEWHERE', message: `${running} trials of this study still run in other processes`, hint }] : []),
    ...(failure === null ? [] : [{ code: 'STUDY_STOPPED', message: failure, hint }]),
  ];
}
