/**
 * Memory of one model and setup at any batch. Sizes of storages are affine in the batch: two traces give every size,
 * and the order of births and deaths does not change, so further batches cost a replay and no trace.
 */
import type { ModelGraph } from '../model/graph.js';
import type { Setup } from '../setup.js';
import { type StepTrace, StepTraces } from '../trace/index.js';
import type { CachingAllocatorOptions } from './allocators/cuda-caching.js';
import { workspaces } from './library.js';
import { buildLoop, type Loop, type LoopTraces, sizesOf } from './loop.js';
import { type Reserved, replay, type TensorPeak, tensorPeak } from './replay.js';

export interface SimulatorOptions {
  capability: number;
  outOfPlaceSums: boolean;
}

interface Traced {
  traces: LoopTraces;
  loop: Loop;
  sizes: number[];
}

export class Simulator {
  private readonly traced = new Map<number, Traced>();
  private readonly replayed = new Map<string, Reserved>();
  private affine: { from: Traced; batch: number; slopes: number[] } | null | undefined;

  constructor(
    model: ModelGraph,
    private readonly setup: Setup,
    private readonly options: SimulatorOptions,
    /** Traces that simulators of other devices share. */
    private readonly traces = new StepTraces(model, setup),
  ) {}

  /** The loop at a batch, traced. */
  private exact(batch: number): Traced {
    const known = this.traced.get(batch);
    if (known) return known;
    const setup = { ...this.setup, batch };
    const trace = (accumulating: boolean): StepTrace => this.traces.trace(batch, { ...this.options, accumulating });
    const fresh = trace(false);
    const traces = { fresh, accumulating: setup.accumulation > 1 || setup.zeroGrad === 'to-zero' ? trace(true) : null };
    const traced = { traces, loop: buildLoop(traces, setup), sizes: sizesOf(traces, setup) };
    this.traced.set(batch, traced);
    return traced;
  }

  /** The loop at a batch from two others, where their structure is the same; a batch of 1 is always traced. */
  private at(batch: number): Traced {
    if (batch === 1 || this.traced.has(batch)) return this.exact(batch);
    if (this.affine === undefined) this.affine = this.fit();
    if (!this.affine) return this.exact(batch);
    const { from, slopes } = this.affine;
    const distance = batch - this.affine.batch;
    return { ...from, sizes: from.sizes.map((bytes, i) => bytes + (slopes[i] as number) * distance) };
  }

  private fit(): Simulator['affine'] {
    const [first = 2] = [...this.traced.keys()].filter((batch) => batch > 1);
    const a = this.exact(first);
    const b = this.exact(2 * first);
    const same = a.loop.events.length === b.loop.events.length && a.loop.events.every((event, i) => event === b.loop.events[i]);
    if (!same || a.sizes.length !== b.sizes.length) return null;
    return { from: a, batch: first, slopes: a.sizes.map((bytes, i) => ((b.sizes[i] as number) - bytes) / first) };
  }

  trace(batch: number): StepTrace {
    return this.exact(batch).traces.fresh;
  }

  tensorPeak(batch: number): TensorPeak {
    const { loop, sizes } = this.at(batch);
    return tensorPeak(loop, sizes);
  }

  /** What the CUDA caching allocator reserves for the loop alone, or with the libraries' workspaces. */
  reserved(batch: number, withWorkspaces: boolean, options: CachingAllocatorOptions = {}): Reserved {
    const key = `${batch}/${withWorkspaces}/${options.capacity ?? ''}`;
    const known = this.replayed.get(key);
    if (known) return known;
    const { loop, sizes, traces } = this.at(batch);
    const result = replay(loop, sizes, options, withWorkspaces ? workspaces(this.options.capability, traces.fresh) : []);
    this.replayed.set(key, result);
    return result;
  }

  /** Reserved memory with workspaces when no more than `capacity` may be reserved: free if it does not need the cap. */
  reservedWithin(batch: number, capacity: number): Reserved {
    const free = this.reserved(batch, true);
    if (free.peakReserved <= capacity) return free;
    if (free.peakAllocated > capacity) return { ...free, outOfMemory: true };
    return this.reserved(batch, true, { capacity });
  }
}
