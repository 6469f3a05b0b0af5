/** From the flags of `loader` to what is measured. */
import { UsageError } from '../../errors.js';
import type { LoaderSource } from '../../probe/loader/measure.js';

/** A function's data set, made-up images, or a command. Throws UsageError for two at once. */
export function sourceOf(dataset: string | undefined, command: string[], samples: number | null): LoaderSource {
  if (command.length > 0 && dataset !== undefined)
    throw new UsageError('DATASET_AND_COMMAND', 'expected --dataset or a command, found both', 'leave one of them out');
  if (command.length > 0) return { kind: 'command', command, samples };
  if (dataset === undefined || /\.py:\w+$/.test(dataset)) return { kind: 'dataset', reference: dataset ?? null };
  throw new UsageError('BAD_DATASET', `--dataset: expected file.py:function, found "${dataset}"`, 'for example train.py:dataset');
}

/** 0, 1 and the powers of two that the cores allow, and all of them. */
export function ladder(cores: number): number[] {
  const powers = Array.from({ length: 8 }, (_, exponent) => 2 ** exponent).filter((workers) => workers < cores);
  return [0, ...powers, ...(cores <= 128 ? [cores] : [])];
}
