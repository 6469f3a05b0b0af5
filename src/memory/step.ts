/** What the simulator of memory covers, and the traced step that it plays. */
import { UsageError } from '../errors.js';
import type { Setup } from '../setup.js';

export { type Events, type StepTrace, symbolsFor, type TraceOptions, traceStep } from '../trace/index.js';

/** Throws where the setup asks for something that the simulator does not cover. */
export function checkCovered(setup: Setup): void {
  const refuse = (flag: string, value: string, covered: string): never => {
    throw new UsageError(
      'NOT_COVERED',
      `${flag} ${value}: estimates do not cover this yet`,
      `use ${covered}, or measure with batchfit probe`,
    );
  };
  if (setup.tensorParallel > 1) refuse('--tensor-parallel', String(setup.tensorParallel), '--tensor-parallel 1');
}
