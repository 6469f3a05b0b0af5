/** Simulators of one model and setup, shared by devices on which the same happens. */
import type { ModelGraph } from '../model/graph.js';
import type { Setup } from '../setup.js';
import { generationOf, StepTraces } from '../trace/index.js';
import { withKeyValueCache } from './key-value-cache.js';
import { cublasWorkspaceBytes } from './library.js';
import { Simulator, type SimulatorOptions } from './simulator.js';

export class Simulators {
  private readonly made = new Map<string, Simulator>();
  /** As it runs: with what the loop holds on to beside logits. */
  private running: { model: ModelGraph; traces: StepTraces } | null = null;

  constructor(
    readonly model: ModelGraph,
    private readonly setup: Setup,
    /** Traces of this model and setup, where others use them too. */
    readonly traces = new StepTraces(model, setup),
  ) {}

  /** The simulator of devices of this capability; `setup` may differ from the traced one in its optimizer's loop alone. */
  of(setup: Setup, options: SimulatorOptions): Simulator {
    const { capability, outOfPlaceSums, release = null } = options;
    const key = `${generationOf(capability, this.traces.convolves)}/${cublasWorkspaceBytes(capability)}/${outOfPlaceSums}/${release}/${setup.optimizerImplementation}/${options.allocator ?? ''}`;
    const known = this.made.get(key);
    if (known) return known;
    const { model, traces } = outOfPlaceSums ? this : this.asItRuns();
    const simulator = new Simulator(model, setup, options, traces);
    this.made.set(key, simulator);
    return simulator;
  }

  private asItRuns(): { model: ModelGraph; traces: StepTraces } {
    if (this.running) return this.running;
    // transformers turns the cache off when it recomputes.
    const caches = this.setup.keepOutputs && this.setup.checkpointing === 'none';
    const model = caches ? withKeyValueCache(this.model) : this.model;
    this.running = { model, traces: model === this.model ? this.traces : new StepTraces(model, this.setup) };
    return this.running;
  }
}
