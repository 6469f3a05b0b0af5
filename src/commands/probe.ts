import { Args } from '@oclif/core';
import { boolean, option, string } from '@oclif/core/flags';
import { describeSetup } from '../output/describe.js';
import { describeProbe, renderProbe } from '../output/probe-text.js';
import { CHILD_ENVIRONMENT } from '../probe/child.js';
import { ENGINE_NAMES, type TrialModel } from '../probe/engine.js';
import { takesBatch } from '../probe/engines/command/engine.js';
import { type ProbeResult, probeBatch } from '../probe/probe.js';
import { parseBytes, parseSeconds } from '../units.js';
import { type Answer, BaseCommand } from './base.js';
import { count, parseSetup, setupFlags } from './flags.js';
import { chooseEngine, estimatedBatch, memoryCap, probeDevice, trialModel } from './input/probe-request.js';

const NOT_TOLD = {
  code: 'BATCH_NOT_IN_COMMAND',
  message: 'no word of the command holds {batch}, so it has to read the batch from BATCHFIT_BATCH',
  hint: 'write {batch} where the batch belongs: -- python3 train.py --batch {batch}',
};

export default class Probe extends BaseCommand {
  static override summary = 'Find the largest batch that really trains here, by running training steps in child processes';
  static override examples = [
    '<%= config.bin %> probe digits-cnn --engine torch --memory-cap 2GiB',
    '<%= config.bin %> probe -- python3 train.py --batch {batch}',
  ];
  static override args = { model: Args.string({ description: 'profile, spec, config.json, graph, timm:NAME, file.py:function ...' }) };
  static override flags = {
    ...setupFlags,
    device: string({
      helpGroup: 'WHERE',
      helpValue: 'NAME',
      description: "device of this machine: cuda, cuda:1, rocm, mps or cpu [default: the engine's best]",
    }),
    engine: option({ options: ENGINE_NAMES })({ description: 'what runs the trials [default: command for a command, else torch or tfjs]' }),
    'max-batch': count({ default: 65536, description: 'largest batch to try' }),
    steps: count({ default: 3, description: 'optimizer steps to time in each trial' }),
    'time-limit': string({ default: '15m', helpValue: '5m', description: 'for the whole probe; one trial may take a third of it' }),
    'memory-cap': string({ helpValue: '4GiB', description: 'cap on the host memory of each trial, where the system can' }),
    resume: boolean({ description: 'take over the trials of an earlier probe of the same thing' }),
    curve: boolean({ description: 'measure throughput at the powers of two as well' }),
  };
  static override takesProgram = true;

  protected async answer(): Promise<Answer> {
    const { args, flags } = await this.parse(Probe);
    const { setup, batch, ...options } = parseSetup(flags);
    const timeLimitSeconds = parseSeconds(flags['time-limit'], '--time-limit');
    const asked = flags['memory-cap'] === undefined ? null : parseBytes(flags['memory-cap'], '--memory-cap');
    const device = probeDevice(flags.device);
    const signal = this.interrupted;
    const engine = await chooseEngine(flags.engine, this.program, args.model);
    const model: TrialModel =
      args.model === undefined
        ? { kind: 'command', command: this.program }
        : await trialModel(args.model, { ...options, attention: setup.attention }, engine.name, signal);
    const where = device ?? (engine.name === 'command' ? 'cpu' : (await engine.status()).device);
    const { cap, warnings } = await memoryCap(asked, where);
    const start = batch === 'auto' ? await estimatedBatch(model, setup, where ?? 'cpu', cap?.bytes ?? null) : batch;
    const [height, width] = options.image ?? [];
    const result = await probeBatch({
      engine,
      request: {
        model,
        sizes: { ...(height && width ? { H: height, W: width } : {}), ...(options.seq ? { S: options.seq } : {}) },
        setup,
        device,
        steps: flags.steps,
        warmupSteps: 1,
        timeoutSeconds: timeLimitSeconds / 3,
        memoryCapBytes: cap?.bytes ?? null,
      },
      start,
      limits: { maxBatch: flags['max-batch'], timeLimitSeconds, resume: flags.resume, curve: flags.curve },
      signal,
      onTrial: (each, trial) =>
        this.progress(trial === null ? `${engine.name}: running batch ${each}` : `${engine.name}: batch ${each} ${trial.outcome}`),
    });
    const graph = model.kind === 'graph' ? model.graph : null;
    return {
      document: {
        engine: engine.name,
        model: args.model ?? null,
        command: model.kind === 'command' ? model.command : null,
        setup: graph ? describeSetup(graph, setup) : null,
        memoryCap: cap,
        estimatedBatch: start,
        environment: CHILD_ENVIRONMENT,
        ...describeProbe(result, setup.accumulation),
      },
      text: () => renderProbe(result, setup.accumulation),
      exitCode: exitCodeOf(result),
      warnings: [...warnings, ...(model.kind === 'command' && !takesBatch(model.command) ? [NOT_TOLD] : []), ...result.warnings],
    };
  }
}

function exitCodeOf({ verdict }: ProbeResult): 0 | 1 | 4 {
  return verdict === 'inconclusive' ? 4 : verdict === 'nothing-fits' ? 1 : 0;
}
