/** The estimate as the plan takes it: what fits, for updates of one pass and of several. */
import type { TargetDevice } from '../../machine/machine.js';
import { Estimator } from '../../memory/estimate.js';
import { Simulators } from '../../memory/simulators.js';
import type { ModelGraph } from '../../model/graph.js';
import type { MemoryOutlook, PlanInput } from '../../plan/training-plan.js';
import type { Setup } from '../../setup.js';
import { StepTraces } from '../../trace/index.js';

/** Gradients that are kept over several passes take the same memory for any number of them, so two stand for all. */
export function outlookOf(graph: ModelGraph, setup: Setup, target: TargetDevice): Outlook {
  const traces = new StepTraces(graph, setup, true);
  const estimator = (accumulation: number): Estimator => {
    const changed = { ...setup, accumulation };
    return new Estimator(graph, changed, target, new Simulators(graph, changed, traces));
  };
  const single = estimator(1);
  const accumulated = estimator(2);
  const { parameters, trainableParameters } = single.trace(1);
  return { memory: { single: outlook(single), accumulated: outlook(accumulated) }, counts: { parameters, trainableParameters }, traces };
}

export interface Outlook {
  memory: PlanInput['memory'];
  /** With adapters where the method adds some. */
  counts: { parameters: number; trainableParameters: number };
  /** With their kernels, for a prediction of speed. */
  traces: StepTraces;
}

function outlook(estimator: Estimator): MemoryOutlook {
  return {
    maxBatch: estimator.maxBatch(),
    at: (batch) => ({ ...estimator.memory(batch) }),
    needs: (batch) => estimator.memory(batch).peak.deviceBytes.high,
  };
}
