/** Runs a study to its end: asks for settings, runs them, tells what came of them, until the budget is spent. */
import type { Sampler, TuneTrial } from './sampler.js';
import { notRun, runTuneTrial, type TrialLimits } from './trial.js';

export interface StudyInput {
  sampler: Sampler;
  command: [string, ...string[]];
  limits: TrialLimits;
  signal: AbortSignal;
  /** Called before (`trial` null) and after each trial. */
  onTrial?: (asked: { number: number; batch: number; learningRate: number }, trial: TuneTrial | null) => void;
}

export interface StudyResult {
  /** By number. */
  trials: TuneTrial[];
  /** Trials of other processes that have not ended. */
  running: number;
  reason: string;
  /** Why it could not go on, null when it could. */
  failure: string | null;
  interrupted: boolean;
}

/** A command that is wrong crashes at every setting: nobody wants to watch that fifty times. */
const CRASHES_AT_START = 3;

/** What was measured is kept whatever ends the study; throws only when nothing was. */
export async function runStudy(input: StudyInput): Promise<StudyResult> {
  const { sampler, signal } = input;
  const own: TuneTrial[] = [];
  let reason: string;
  let failure: string | null = null;
  try {
    reason = await runTrials(input, own);
  } catch (error) {
    if (own.length === 0 && !signal.aborted) throw error;
    failure = signal.aborted ? null : (error as Error).message;
    reason = failure === null ? 'interrupted' : `stopped: ${failure}`;
  }
  const all = await sampler.trials().catch(() => ({ trials: own, running: 0 }));
  return { ...all, trials: [...all.trials].sort((a, b) => a.number - b.number), reason, failure, interrupted: signal.aborted };
}

/** Why it ended. */
async function runTrials({ sampler, command, limits, signal, onTrial }: StudyInput, own: TuneTrial[]): Promise<string> {
  while (!signal.aborted) {
    const asked = await sampler.ask();
    if (asked === null) return own.length === 0 ? 'no trial was left to take' : 'every trial was taken';
    let trial: TuneTrial;
    if (asked.exceeds !== null) trial = notRun(asked, asked.exceeds);
    else {
      onTrial?.(asked, null);
      try {
        trial = await runTuneTrial(command, asked, limits, (report) => sampler.report(asked.number, report), signal);
      } catch (error) {
        await sampler.abandon(asked.number);
        if (signal.aborted) break;
        throw error;
      }
    }
    own.push(trial);
    await sampler.tell(trial);
    onTrial?.(asked, trial);
    if (own.length === CRASHES_AT_START && own.every(({ outcome }) => outcome === 'crash')) {
      return `the first ${CRASHES_AT_START} trials all crashed: ${trial.evidence}`;
    }
  }
  return 'interrupted';
}
