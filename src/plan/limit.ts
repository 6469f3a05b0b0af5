/** The largest micro batch that a plan may use, and how sure that is. */
import type { Warning } from '../errors.js';
import type { Source } from '../units.js';
import type { Confidence } from './advice.js';
import type { MemoryOutlook, ProbedLimit } from './training-plan.js';

export interface MicroLimit {
  /** 0 when not even one sample fits. */
  max: number;
  source: Source;
  confidence: Confidence;
  warnings: Warning[];
}

/** What was measured, else the estimate's cautious batch, else its best one with a warning. */
export function limitMicroBatch(memory: MemoryOutlook, probed: ProbedLimit | null): MicroLimit {
  if (probed !== null) return { max: probed.largest, source: 'measured', confidence: 'high', warnings: [] };
  const { low, best } = memory.maxBatch;
  if (low >= 1 || best < 1) return { max: low, source: 'estimated', confidence: 'medium', warnings: [] };
  return {
    max: best,
    source: 'estimated',
    confidence: 'low',
    warnings: [
      {
        code: 'MEMORY_TIGHT',
        message: `a micro batch of ${best} fits by the best estimate but not by its upper bound`,
        hint: 'measure it: --probe',
      },
    ],
  };
}
