/** The command engine: the user's own training command, one run a trial. It fits if it exits 0 within its time. */
import { UsageError, type Warning } from '../../../errors.js';
import { runChild } from '../../child.js';
import type { Engine, TrialRequest, TrialResult } from '../../engine.js';
import { classify, findOutOfMemory } from '../../outcome.js';
import { readSaid } from './said.js';

const PLACE = '{batch}';

export function createCommandEngine(): Engine {
  return {
    name: 'command',
    status: async () => ({ name: 'command', status: 'ready', version: null, device: null, reason: 'runs any training command' }),

    async runTrial(request: TrialRequest, signal: AbortSignal): Promise<TrialResult> {
      const [program, ...words] = commandOf(request);
      const { batch } = request.setup;
      const child = await runChild({
        command: [program, ...words.map((word) => word.replaceAll(PLACE, String(batch)))],
        environment: { BATCHFIT_BATCH: String(batch) },
        timeoutSeconds: request.timeoutSeconds,
        memoryCapBytes: request.memoryCapBytes,
        signal,
      });
      const said = readSaid(child.stdout);
      const { outcome, evidence } = classify(child, null, false);
      const recovered = outcome === 'fits' ? findOutOfMemory(`${child.stderr}\n${child.stdout}`) : null;
      return {
        batch,
        outcome,
        evidence: outcome === 'fits' ? `exit code 0 after ${child.seconds.toFixed(1)} s` : evidence,
        peakBytes: said.peakBytes,
        reservedBytes: null,
        deviceBytes: null,
        processPeakBytes: child.processPeakBytes,
        stepSeconds: [],
        samplesPerSecond: said.samplesPerSecond,
        device: null,
        seconds: child.seconds,
        warnings: [...child.warnings, ...(recovered ? [wentOn(batch, recovered.line)] : [])],
      };
    },
  };
}

/** Whether the command can be told the batch by its words; else it has to read BATCHFIT_BATCH. */
export function takesBatch(command: string[]): boolean {
  return command.some((word) => word.includes(PLACE));
}

function commandOf({ model }: TrialRequest): [string, ...string[]] {
  const [program, ...words] = model.kind === 'command' ? model.command : [];
  if (program !== undefined) return [program, ...words];
  throw new UsageError(
    'COMMAND_MISSING',
    'the command engine needs a command',
    'write it behind --: batchfit probe -- python3 train.py --batch {batch}',
  );
}

function wentOn(batch: number, line: string): Warning {
  return {
    code: 'RECOVERED_FROM_OOM',
    message: `batch ${batch}: the command printed "${line}" and still exited 0, so it counts as fitting`,
    hint: 'switch off what catches the error, or exit with another code',
  };
}
