/**
 * Memory of one model and setup at any batch. Sizes of storages are affine in the batch: two traces give every size,
 * and the order of births and deaths does not change, so further batches cost a replay and no trace.
 */
import type { ModelGraph } from '../model/graph.js';
import type { Setup } from '../setup.js';
import { type Release, type StepTrace, StepTraces } from '../trace/index.js';
import { workspaces } from './library.js';
import { buildLoop, haveSameOrder, type Loop, type LoopTraces, sizesOf, withDistinctSizes } from './loop.js';
import { type ReplayOptions, type Reserved, replay, type TensorPeak, tensorPeak } from './replay.js';
import { type AllocatorName, replayBfc, replayExpandable, replayMalloc } from './replay-other.js';

const REPLAYS: Record<AllocatorName, typeof replay> = {
  'cuda-caching': replay,
  'cuda-expandable': replayExpandable,
  'tensorflow-bfc': replayBfc,
  malloc: replayMalloc,
};

export interface SimulatorOptions {
  capability: number;
  outOfPlaceSums: boolean;
  /** See Stack. */
  release?: Release | null;
  /** Default: CUDA's caching allocator. */
  allocator?: AllocatorName;
}

interface Traced {
  traces: LoopTraces;
  loop: Loop;
  sizes: Float64Array;
}

/** Every batch from two: the loop of the first, and what each size gains with a sample. */
interface Line {
  from: Traced;
  batch: number;
  slopes: Float64Array;
}

export class Simulator {
  private readonly traced = new Map<number, Traced>();
  private readonly replayed = new Map<string, Reserved>();
  private readonly peaks = new Map<number, TensorPeak>();
  /** Null where two batches differ in more than sizes, undefined until it is asked for. */
  private line: Line | null | undefined;
  /** What followed from the line last: one batch is asked for several figures. */
  private latest: (Traced & { batch: number }) | null = null;

  constructor(
    model: ModelGraph,
    private readonly setup: Setup,
    private readonly options: SimulatorOptions,
    /** Traces that simulators of other devices share. */
    private readonly traces = new StepTraces(model, setup),
  ) {}

  private tracesAt(batch: number): LoopTraces {
    const trace = (accumulating: boolean): StepTrace => this.traces.trace(batch, { ...this.options, accumulating });
    return { fresh: trace(false), accumulating: this.setup.accumulation > 1 || this.setup.zeroGrad === 'to-zero' ? trace(true) : null };
  }

  /** The loop at a batch, traced. */
  private exact(batch: number): Traced {
    const known = this.traced.get(batch);
    if (known) return known;
    const traces = this.tracesAt(batch);
    const { outOfPlaceSums, capability } = this.options;
    // Traced by itself, PyTorch has no GradScaler.
    const scales = this.setup.precision === 'amp-fp16' && capability > 0 && !outOfPlaceSums;
    const traced = { traces, loop: buildLoop(traces, this.setup, scales), sizes: sizesOf(traces, this.setup) };
    this.traced.set(batch, traced);
    return traced;
  }

  /** The loop at a batch from two others, where their structure is the same; a batch of 1 is always traced. */
  private at(batch: number): Traced {
    if (batch === 1 || this.traced.has(batch)) return this.exact(batch);
    if (this.line === undefined) this.line = this.fit();
    if (!this.line) return this.exact(batch);
    if (this.latest?.batch === batch) return this.latest;
    const { from, slopes } = this.line;
    const distance = batch - this.line.batch;
    const sizes = new Float64Array(slopes.length);
    for (let i = 0; i < sizes.length; i++) sizes[i] = (from.sizes[i] as number) + (slopes[i] as number) * distance;
    this.latest = { ...from, sizes, batch };
    return this.latest;
  }

  private fit(): Line | null {
    const [batch = 2] = [...this.traced.keys()].filter((each) => each > 1);
    const from = this.exact(batch);
    const further = this.tracesAt(2 * batch);
    if (!haveSameOrder(from.traces, further)) return null;
    const { loop, one, other } = withDistinctSizes(from.loop, from.sizes, sizesOf(further, this.setup));
    const slopes = one.map((bytes, i) => ((other[i] as number) - bytes) / batch);
    return { from: { traces: from.traces, loop, sizes: one }, batch, slopes };
  }

  trace(batch: number): StepTrace {
    return this.exact(batch).traces.fresh;
  }

  tensorPeak(batch: number): TensorPeak {
    const known = this.peaks.get(batch);
    if (known) return known;
    const { loop, sizes } = this.at(batch);
    const peak = tensorPeak(loop, sizes);
    this.peaks.set(batch, peak);
    return peak;
  }

  /** Two batches whose figures cost least. */
  get anchors(): [number, number] {
    const [batch = 2] = [...this.traced.keys()].filter((each) => each > 1);
    return [batch, 2 * batch];
  }

  /** Bytes of the libraries' workspaces. */
  workspaceBytes(batch: number): number {
    return workspaces(this.options.capability, this.at(batch).traces.fresh).reduce((sum, bytes) => sum + bytes, 0);
  }

  /** What the CUDA caching allocator reserves for the loop alone, or with the libraries' workspaces. */
  reserved(batch: number, withWorkspaces: boolean, options: ReplayOptions = {}): Reserved {
    const key = keyOf(batch, withWorkspaces, options);
    const known = this.replayed.get(key);
    if (known) return known;
    const { loop, sizes, traces } = this.at(batch);
    const spaces = withWorkspaces ? workspaces(this.options.capability, traces.fresh) : [];
    const result = REPLAYS[this.options.allocator ?? 'cuda-caching'](loop, sizes, options, spaces);
    this.replayed.set(key, result);
    return result;
  }

  /** Reserved memory with workspaces when no more than `capacity` may be reserved: free if it does not need the cap. */
  reservedWithin(batch: number, capacity: number): Reserved {
    const free = this.reserved(batch, true);
    if (free.peakReserved <= capacity) return free;
    const { bytes, breakdown } = this.tensorPeak(batch);
    if (bytes - breakdown.workspaces > capacity) return { ...free, outOfMemory: true };
    const within = this.reserved(batch, true, { capacity, stopsWhenFull: true });
    return within.outOfMemory ? { ...free, outOfMemory: true } : within;
  }

  /** Whether the loop runs with workspaces when no more than `capacity` may be reserved. */
  fitsWithin(batch: number, capacity: number): boolean {
    const free = this.replayed.get(keyOf(batch, true));
    if (free && free.peakReserved <= capacity) return true;
    const { bytes, breakdown } = this.tensorPeak(batch);
    if (bytes - breakdown.workspaces > capacity) return false;
    return !this.reserved(batch, true, { capacity, stopsWhenFull: true }).outOfMemory;
  }
}

function keyOf(batch: number, withWorkspaces: boolean, { capacity, stopsWhenFull = false }: ReplayOptions = {}): string {
  return `${batch}/${withWorkspaces}/${capacity ?? ''}/${stopsWhenFull}`;
}
