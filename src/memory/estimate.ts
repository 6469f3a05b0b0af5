/** Estimates what training takes: tensors, what the allocator reserves for them, what the device shows, and what fits. */
import type { Warning } from '../errors.js';
import { capabilityOf } from '../machine/capability.js';
import type { TargetDevice } from '../machine/machine.js';
import type { ModelGraph } from '../model/graph.js';
import type { Setup } from '../setup.js';
import type { Release } from '../trace/index.js';
import type { Bytes, Source } from '../units.js';
import { assumptionsOf } from './assumptions.js';
import { withCudnnBenchmark } from './cudnn-benchmark.js';
import { type Bounds, largestBatch, UNBOUNDED } from './largest.js';
import { contextBytes, type ModuleLoading, measuredContext } from './library/context.js';
import { WorkspaceSpread } from './library/workspace.js';
import { type Range, resolveImplementation } from './library.js';
import type { LoopPhase } from './loop.js';
import { withOptimizerDefault } from './optimizers.js';
import type { TensorPeak } from './replay.js';
import { allocatorOf } from './replay-other.js';
import type { Simulator } from './simulator.js';
import { Simulators } from './simulators.js';
import type { StepTrace } from './step.js';

type Breakdown = TensorPeak['breakdown'];

export interface MemoryPeak {
  /** Highest sum of live storages of a steady step, each rounded to 512 B. */
  tensorBytes: Bytes;
  /** What the caching allocator reserves for them alone. */
  tensorReservedBytes: Bytes;
  requestedBytes: Bytes;
  /** torch.cuda.max_memory_allocated() after two steady steps. */
  allocatedBytes: Bytes;
  /** torch.cuda.max_memory_reserved(). */
  reservedBytes: Bytes;
  /** What nvidia-smi shows for a process alone on the card. */
  deviceBytes: Range;
}

export interface MemoryBreakdown {
  parameters: Bytes;
  gradients: Bytes;
  optimizerState: Bytes;
  activations: Bytes;
  inputs: Bytes;
  temporaries: Bytes;
  workspaces: Bytes;
  fragmentation: Bytes;
  context: Bytes;
}

export interface Memory {
  peak: MemoryPeak;
  peakAt: LoopPhase;
  /** At the peak; adds up to deviceBytes.best. */
  breakdown: MemoryBreakdown;
  /** deviceBytes.best is about fixedBytes + batch * perSampleBytes. */
  fixedBytes: Bytes;
  perSampleBytes: Bytes;
  perSampleActivationBytes: Bytes;
  /** Gradients of activations and other temporaries per sample at the peak. */
  perSampleGradientBytes: Bytes;
  source: Source;
}

export interface MemoryEstimate {
  batch: number;
  memory: Memory;
  fits: boolean;
  /** Largest batch that surely, probably and possibly fits. 0: not even one sample. */
  maxBatch: Range;
  parameters: number;
  trainableParameters: number;
}

/** What the software on the device does that its model and setup don't say. */
export interface Stack {
  /** Default: lazy, as PyTorch 1.13 and later ask for. */
  moduleLoading: ModuleLoading;
  /** torch.backends.cudnn.benchmark: convolutions take the fastest algorithm, whatever workspace it needs. Default: false. */
  cudnnBenchmark: boolean;
  /** PyTorch that runs: older ones keep more for backward. Default (null): the newest. */
  release: Release | null;
}

/** How exactly the ends of a range of batches are looked for. */
const RANGE_TOLERANCE = 0.005;

/**
 * How far the reserve may be off upwards before a device figure is exceeded: fragmentation, and the algorithms that cuDNN tries
 * before it picks by speed. With the largest workspace on top, or Winograd's traced, 2 % of xMem's readings and 4 % of
 * GPUMemNet's of timm pass it (docs/accuracy.md).
 */
const RESERVE_HIGH = 1.06;
const BENCHMARK_RESERVE_HIGH = 1.15;
/** The same downwards: an assumption. */
const RESERVE_LOW = 0.97;

/**
 * Memory of training `model` with `setup` on `target`, from the graph alone. Throws UsageError where the setup or an
 * operator is not covered.
 */
export function estimateMemory(model: ModelGraph, setup: Setup, target: TargetDevice): MemoryEstimate {
  return new Estimator(model, setup, target).estimate(setup.batch);
}

/** The estimate at the largest batch that probably fits; at batch 1 (with fits false) where none does. */
export function estimateLargest(model: ModelGraph, setup: Setup, target: TargetDevice): MemoryEstimate {
  const estimator = new Estimator(model, setup, target);
  return estimator.estimate(Math.max(estimator.largest('best'), 1));
}

export class Estimator {
  private readonly capability: number;
  private readonly setup: Setup;
  private readonly context: Range;
  private readonly reserveHigh: number;
  /** Whether cuDNN's heuristics may pick an algorithm whose workspace is not in the trace. */
  private readonly spreadsWorkspaces: boolean;
  /** As PyTorch traces itself, and as it runs: sums of gradients differ. */
  private readonly traced: Simulator;
  private readonly running: Simulator;
  /** What the figures rest on that nobody has checked against a run. */
  readonly assumptions: Warning[];
  private readonly bounds = new Map<keyof Range, Bounds>();
  private spread: WorkspaceSpread | null = null;

  constructor(
    model: ModelGraph,
    setup: Setup,
    private readonly target: TargetDevice,
    /** Simulators that estimators of other devices share. */
    given?: Simulators,
    stack: Partial<Stack> = {},
  ) {
    const simulators = given ?? new Simulators(stack.cudnnBenchmark ? withCudnnBenchmark(model) : model, setup);
    this.assumptions = assumptionsOf(model, setup);
    this.capability = capabilityOf(target);
    this.setup = resolveImplementation(withOptimizerDefault(setup), this.capability);
    const { convolves } = simulators.traces;
    this.context = target.contextBytes
      ? measuredContext(target.contextBytes)
      : contextBytes({ target, loading: stack.moduleLoading ?? 'lazy', convolves });
    this.reserveHigh = stack.cudnnBenchmark && convolves ? BENCHMARK_RESERVE_HIGH : RESERVE_HIGH;
    this.spreadsWorkspaces = this.capability > 0 && convolves && !stack.cudnnBenchmark;
    const { release = null } = stack;
    const device = { capability: this.capability, allocator: allocatorOf(setup, target), release };
    this.traced = simulators.of(this.setup, { ...device, outOfPlaceSums: true });
    this.running = simulators.of(this.setup, { ...device, outOfPlaceSums: false });
  }

  /** Memory at one batch, without asking what fits. */
  memory(batch: number): Memory {
    const tensors = this.traced.tensorPeak(batch);
    const tensorReserved = this.traced.reserved(batch, false);
    const live = this.running.tensorPeak(batch);
    const reserved =
      this.capability > 0
        ? this.running.reservedWithin(batch, this.target.usableBytes - this.context.best)
        : this.running.reserved(batch, true);
    const device = this.deviceBytes(reserved.peakReserved, batch);
    // What a sample adds is read off the traced batches, which every batch of a sweep shares.
    const [from, to] = this.running.anchors;
    const [less, more] = [from, to].map((each) => this.running.tensorPeak(each).breakdown) as [Breakdown, Breakdown];
    const [lessDevice, moreDevice] = [from, to].map((each) => this.running.reserved(each, true).peakReserved) as [number, number];
    const each = (a: number, b: number): number => Math.max(0, Math.round((b - a) / (to - from)));
    const perSampleBytes = each(lessDevice, moreDevice);
    const freeRunning = this.running.reserved(batch, true).peakReserved + this.context.best;
    const space = this.running.workspaceBytes(batch);
    const { breakdown } = live;
    return {
      peak: {
        tensorBytes: tensors.bytes,
        tensorReservedBytes: tensorReserved.peakReserved,
        requestedBytes: live.requestedBytes + space,
        allocatedBytes: reserved.peakAllocated,
        reservedBytes: reserved.peakReserved,
        deviceBytes: device,
      },
      peakAt: tensors.at,
      breakdown: {
        ...breakdown,
        workspaces: breakdown.workspaces + space,
        fragmentation: Math.max(0, reserved.peakReserved - live.bytes - space),
        context: this.context.best,
      },
      fixedBytes: freeRunning - perSampleBytes * batch,
      perSampleBytes,
      perSampleActivationBytes: each(less.activations, more.activations),
      perSampleGradientBytes: each(less.temporaries, more.temporaries),
      source: this.assumptions.length > 0 ? 'assumed' : this.target.contextBytes ? 'calibrated' : 'estimated',
    };
  }

  /** The whole estimate at one batch, which is traced itself; the others follow from it. */
  estimate(batch: number): MemoryEstimate {
    const trace = this.traced.trace(batch);
    this.running.trace(batch);
    const memory = this.memory(batch);
    return {
      batch,
      memory,
      fits: this.fits(batch, 'best'),
      maxBatch: this.maxBatch(),
      parameters: trace.parameters,
      trainableParameters: trace.trainableParameters,
    };
  }

  /** The traced micro step at a batch. */
  trace(batch: number): StepTrace {
    return this.running.trace(batch);
  }

  private deviceBytes(reserved: number, batch: number): Range {
    const high = reserved * this.reserveHigh + this.context.high;
    return {
      low: Math.round(reserved * RESERVE_LOW + this.context.low),
      best: reserved + this.context.best,
      // Where a workspace finds no room PyTorch takes the next algorithm (Conv_v8.cpp, try_configs): no batch fails for want of it.
      high: Math.round(high + Math.min(this.workspaceSpread(batch), Math.max(0, this.target.usableBytes - high))),
    };
  }

  /** What cuDNN's largest workspace may take beyond the traced one. */
  private workspaceSpread(batch: number): Bytes {
    if (!this.spreadsWorkspaces) return 0;
    const [traced] = this.running.anchors;
    this.spread ??= new WorkspaceSpread(this.running.trace(traced), this.setup, traced);
    return this.spread.at(batch);
  }

  /** Whether a batch fits by the low, best or high figure; near the limit the allocator frees its cache and tries again. */
  fits(batch: number, figure: keyof Range): boolean {
    const room = this.room(figure);
    if (room <= 0) return false;
    if (this.capability === 0) return this.running.tensorPeak(batch).requestedBytes <= room;
    return this.running.fitsWithin(batch, room);
  }

  /** The largest batches that surely, probably and possibly fit; the last one first, which bounds the others. */
  maxBatch(): Range {
    const possible = this.largest('low');
    const best = this.largest('best');
    // It is looked for less exactly, and near the limit one batch may fit where a smaller one did not.
    return { low: this.largest('high'), best, high: Math.max(possible, best) };
  }

  /** The largest batch that fits by a figure; those of the range to half a percent. */
  largest(figure: keyof Range): number {
    const found = this.bounds.get(figure);
    if (found) return found.fitting;
    const room = this.room(figure);
    const { running } = this;
    const lines =
      this.capability === 0
        ? [{ bytes: (batch: number) => running.tensorPeak(batch).requestedBytes, room }]
        : [
            { bytes: (batch: number) => running.reserved(batch, true).peakAllocated, room },
            { bytes: (batch: number) => running.reserved(batch, true).peakReserved, room },
          ];
    const bounds = largestBatch({
      fits: (batch) => this.fits(batch, figure),
      lines,
      through: running.anchors,
      tolerance: figure === 'best' ? 0 : RANGE_TOLERANCE,
      known: this.knownBounds(figure),
    });
    this.bounds.set(figure, bounds);
    return bounds.fitting;
  }

  /** What fits by a higher figure fits by a lower one too. */
  private knownBounds(figure: keyof Range): Bounds {
    const figures: (keyof Range)[] = ['low', 'best', 'high'];
    const at = figures.indexOf(figure);
    const fitting = figures.slice(at + 1).map((each) => this.bounds.get(each)?.fitting ?? 0);
    const failing = figures.slice(0, at).map((each) => this.bounds.get(each)?.failing ?? UNBOUNDED.failing);
    return { fitting: Math.max(0, ...fitting), failing: Math.min(UNBOUNDED.failing, ...failing) };
  }

  /** Bytes that the allocator may reserve by a figure. */
  private room(figure: keyof Range): number {
    const factor = figure === 'high' ? this.reserveHigh : figure === 'low' ? RESERVE_LOW : 1;
    return (this.target.usableBytes - this.context[figure]) / factor;
  }
}
