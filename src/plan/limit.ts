/** The largest micro batch that a plan may use, and how sure that is. */
import type { Warning } from '../errors.js';
import type { Source } from '../units.js';
import type { Confidence } from './advice.js';
import type { MemoryOutlook, PlanInput } from './training-plan.js';

export interface MicroLimit {
  /** In one pass; 0 when not even one sample fits. */
  single: number;
  /** In one of several passes of an update. */
  accumulated: number;
  source: Source;
  confidence: Confidence;
  warnings: Warning[];
}

/** What was measured, else the estimate's cautious batch, else its best one with a warning. */
export function limitMicroBatch({ memory, probed }: Pick<PlanInput, 'memory' | 'probed'>): MicroLimit {
  if (probed !== null) {
    const { largest, accumulated: kept } = probed;
    const accumulated = kept ? largest : Math.min(largest, cautious(memory.accumulated) || memory.accumulated.maxBatch.best);
    return { single: largest, accumulated, source: 'measured', confidence: 'high', warnings: [] };
  }
  const single = cautious(memory.single);
  if (single >= 1 || memory.single.maxBatch.best < 1) {
    return { single, accumulated: cautious(memory.accumulated), source: 'estimated', confidence: 'medium', warnings: [] };
  }
  const best = memory.single.maxBatch.best;
  return {
    single: best,
    accumulated: memory.accumulated.maxBatch.best,
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

const cautious = ({ maxBatch }: MemoryOutlook): number => maxBatch.low;
