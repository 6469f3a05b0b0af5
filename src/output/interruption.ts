/** Ctrl-C and termination signals: the first asks the command to stop and answer with what it has, the second ends it at once. */
import { constants } from 'node:os';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Thrown, and the abort reason, where a signal ended the work; the shell's convention for it is exit 128+n. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly exitCode: number;
  constructor(readonly signal: (typeof SIGNALS)[number]) {
    super(`interrupted by ${signal}`);
    this.exitCode = 128 + constants.signals[signal];
  }
}

/**
 * Aborts the returned signal on the first interruption, with an Interrupted as reason and the exit code set.
 * `isAwaited` tells whether anyone listens; where nobody does, `report` says so and the process ends.
 */
export function watchInterruptions(isAwaited: () => boolean, report: (reason: Interrupted) => void): AbortSignal {
  const controller = new AbortController();
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      const reason = new Interrupted(signal);
      if (controller.signal.aborted) process.exit(reason.exitCode);
      process.exitCode = reason.exitCode;
      if (!isAwaited()) {
        report(reason);
        process.exit();
      }
      controller.abort(reason);
    });
  }
  return controller.signal;
}
