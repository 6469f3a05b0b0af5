/** Estimates what training takes: tensors, what the allocator reserves for them, what the device shows, and what fits. */
import type { TargetDevice } from '../machine/machine.js';
import type { ModelGraph } from '../model/graph.js';
import type { Setup } from '../setup.js';
import type { Bytes, Source } from '../units.js';
import { capabilityNumber, contextBytes, type Range, resolveImplementation, workspaces } from './library.js';
import type { LoopPhase } from './loop.js';
import { Simulator } from './simulator.js';
import { checkCovered, type StepTrace } from './step.js';

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

/** Beyond this nothing is searched: data sets are smaller. */
const LARGEST_BATCH = 2 ** 24;

/** How far the reserve may be off upwards before a device figure is exceeded: cuDNN's workspaces and fragmentation. */
const RESERVE_HIGH = 1.06;
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
  /** As PyTorch traces itself, and as it runs: sums of gradients differ. */
  private readonly traced: Simulator;
  private readonly running: Simulator;
  private readonly known = new Map<string, number>();

  constructor(
    model: ModelGraph,
    setup: Setup,
    private readonly target: TargetDevice,
  ) {
    checkCovered(setup);
    this.capability = capabilityNumber(target.kind, target.computeCapability);
    this.setup = resolveImplementation(setup, this.capability);
    this.context = contextBytes(target.kind);
    this.traced = new Simulator(model, this.setup, { capability: this.capability, outOfPlaceSums: true });
    this.running = new Simulator(model, this.setup, { capability: this.capability, outOfPlaceSums: false });
  }

  /** Memory at one batch, without asking what fits. */
  memory(batch: number): Memory {
    const tensors = this.traced.tensorPeak(batch);
    const tensorReserved = this.traced.reserved(batch, false);
    const live = this.running.tensorPeak(batch);
    const reserved = this.running.reserved(batch, true, this.limits());
    const device = this.deviceBytes(reserved.peakReserved);
    const more = this.running.tensorPeak(2 * batch);
    const moreDevice = this.deviceBytes(this.running.reserved(2 * batch, true).peakReserved).best;
    const lessDevice = this.deviceBytes(this.running.reserved(batch, true).peakReserved).best;
    const perSampleBytes = Math.max(0, Math.round((moreDevice - lessDevice) / batch));
    const space = workspaces(this.capability, this.running.trace(batch)).reduce((sum, bytes) => sum + bytes, 0);
    const { breakdown } = live;
    const each = (a: number, b: number): number => Math.max(0, Math.round((b - a) / batch));
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
        workspaces: space,
        fragmentation: Math.max(0, reserved.peakReserved - live.bytes - space),
        context: this.context.best,
      },
      fixedBytes: lessDevice - perSampleBytes * batch,
      perSampleBytes,
      perSampleActivationBytes: each(breakdown.activations, more.breakdown.activations),
      perSampleGradientBytes: each(breakdown.temporaries, more.breakdown.temporaries),
      source: 'estimated',
    };
  }

  /** The whole estimate at one batch. */
  estimate(batch: number): MemoryEstimate {
    const trace = this.traced.trace(batch);
    const memory = this.memory(batch);
    return {
      batch,
      memory,
      fits: this.fits(batch, 'best'),
      maxBatch: { low: this.largest('high'), best: this.largest('best'), high: this.largest('low') },
      parameters: trace.parameters,
      trainableParameters: trace.trainableParameters,
    };
  }

  /** The traced micro step at a batch. */
  trace(batch: number): StepTrace {
    return this.running.trace(batch);
  }

  private limits(): { capacity?: number } {
    return this.capability > 0 ? { capacity: Math.max(0, this.target.usableBytes - this.context.best) } : {};
  }

  private deviceBytes(reserved: number): Range {
    return {
      low: Math.round(reserved * RESERVE_LOW + this.context.low),
      best: reserved + this.context.best,
      high: Math.round(reserved * RESERVE_HIGH + this.context.high),
    };
  }

  /** Whether a batch fits by the low, best or high figure; near the limit the allocator frees its cache and tries again. */
  fits(batch: number, figure: keyof Range): boolean {
    const factor = figure === 'high' ? RESERVE_HIGH : figure === 'low' ? RESERVE_LOW : 1;
    const room = (this.target.usableBytes - this.context[figure]) / factor;
    if (room <= 0) return false;
    if (this.capability === 0) return this.running.tensorPeak(batch).requestedBytes <= room;
    if (this.running.tensorPeak(batch).bytes > room) return false;
    return !this.running.reserved(batch, true, { capacity: room }).outOfMemory;
  }

  /** The largest batch that fits by a figure: doubled from 1, then bisected. */
  largest(figure: keyof Range): number {
    const known = this.known.get(figure);
    if (known !== undefined) return known;
    let fitting = 0;
    let failing = 1;
    while (failing <= LARGEST_BATCH && this.fits(failing, figure)) {
      fitting = failing;
      failing *= 2;
    }
    while (failing - fitting > 1) {
      const middle = (fitting + failing) >> 1;
      if (this.fits(middle, figure)) fitting = middle;
      else failing = middle;
    }
    this.known.set(figure, fitting);
    return fitting;
  }
}
