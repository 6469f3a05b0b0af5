/** Traces of one model and setup, each made once, also for devices that differ but run the same kernels. */
import type { ModelGraph } from '../model/graph.js';
import type { Setup } from '../setup.js';
import { TF32_PAYS } from './ops/convolution-workspace.js';
import { type StepTrace, type TraceOptions, traceStep } from './step.js';

/** Compute capabilities (times ten) from which on PyTorch picks other kernels: see ops/attention.ts. */
const GENERATIONS = [80, 50, 1];
/** The same for convolutions, whose TF32 is for some of the later ones: see ops/convolution-workspace.ts. */
const CONVOLVING_GENERATIONS = [86, 70, 50, 1];

function hasConvolutions(model: ModelGraph): boolean {
  return model.nodes.some(({ op }) => /^aten\._?conv/.test(op));
}

/** The lowest capability that runs the same kernels of a model, which has convolutions or not. */
export function generationOf(capability: number, convolves: boolean): number {
  if (convolves && TF32_PAYS.includes(capability)) return TF32_PAYS[0] as number;
  return (convolves ? CONVOLVING_GENERATIONS : GENERATIONS).find((lowest) => capability >= lowest) ?? 0;
}

export class StepTraces {
  private readonly made = new Map<string, StepTrace>();
  readonly convolves: boolean;

  constructor(
    private readonly model: ModelGraph,
    private readonly setup: Setup,
    /** Record kernels, for those who predict speed from the same traces. */
    private readonly logsKernels = false,
  ) {
    this.convolves = hasConvolutions(model);
  }

  /** The micro step at a batch. Throws for operators without a rule. */
  trace(batch: number, options: TraceOptions): StepTrace {
    const { outOfPlaceSums, accumulating, release = null } = options;
    const capability = generationOf(options.capability, this.convolves);
    const key = `${batch}/${capability}/${outOfPlaceSums}/${accumulating}/${release}`;
    const known = this.made.get(key);
    if (known) return known;
    // Sums out of place are how PyTorch traces itself, not how a device runs.
    const logsKernels = (this.logsKernels && !outOfPlaceSums) || options.logsKernels === true;
    const trace = traceStep(
      this.model,
      { ...this.setup, batch },
      { ...{ capability, outOfPlaceSums, accumulating, release }, logsKernels },
    );
    this.made.set(key, trace);
    return trace;
  }
}
