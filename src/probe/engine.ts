/**
 * What an engine is: something that runs one training trial in one fresh child process and says how it went. A failure
 * is a value, never an exception; only a broken request or a missing program throws.
 */

import type { Warning } from '../errors.js';
import type { ModelGraph } from '../model/graph.js';
import type { Setup } from '../setup.js';
import type { Bytes, Seconds } from '../units.js';

export const ENGINE_NAMES = ['torch', 'tfjs', 'command'] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];

/**
 * `fits`: every step ran. `oom`: device or host memory ran out, with evidence. `timeout`: still running when its time
 * was up. `crash`: it ended badly for another reason. `unsupported`: the engine cannot run this model or setup at all.
 */
export type Outcome = 'fits' | 'oom' | 'timeout' | 'crash' | 'unsupported';

/** What is trained: a graph, code that only the engine's own framework can build, or the user's command. */
export type TrialModel =
  | { kind: 'graph'; graph: ModelGraph }
  /** `timm:NAME`, `torchvision:NAME`, `hf:NAME`, `file.py:function`. */
  | { kind: 'code'; reference: string; classes: number | null; head: string | null }
  /** Program and arguments; `{batch}` in them stands for the batch. */
  | { kind: 'command'; command: string[] };

export interface TrialRequest {
  model: TrialModel;
  /** Values of the graph's symbols beside B; a missing one takes the graph's default. */
  sizes: Partial<Record<'S' | 'H' | 'W', number>>;
  /** `setup.batch` is the micro batch of this trial. */
  setup: Setup;
  /** Device to run on ("cuda", "cuda:1", "rocm", "mps", "cpu"); null lets the engine choose its best. */
  device: string | null;
  /** Optimizer steps to time, after `warmupSteps` that are not. */
  steps: number;
  warmupSteps: number;
  timeoutSeconds: Seconds;
  /** Cap on the child's host memory, null for none. */
  memoryCapBytes: Bytes | null;
}

/** What really ran the trial. */
export interface TrialDevice {
  /** "cuda", "rocm", "mps", "cpu". */
  kind: string;
  /** "NVIDIA A100-SXM4-40GB"; null where the framework does not say. */
  name: string | null;
  /** "torch 2.13.0", "tfjs-node 4.22.0 (TensorFlow 2.21.0)", "tfjs cpu (pure JS)". */
  backend: string;
  totalBytes: Bytes | null;
}

export interface TrialResult {
  batch: number;
  outcome: Outcome;
  /** One line that says how we know: the framework's error, exit code or signal, the cgroup's counters. */
  evidence: string;
  /** Highest memory in use by tensors as the framework itself counts it; null when it does not count. */
  peakBytes: Bytes | null;
  /** Highest memory the framework's allocator held (torch: max_memory_reserved), null when it does not count. */
  reservedBytes: Bytes | null;
  /** Highest memory taken on the device by the process as the driver sees it, null when not known. */
  deviceBytes: Bytes | null;
  /** Highest resident host memory of the child's process tree. */
  processPeakBytes: Bytes | null;
  /** One sample per timed optimizer step. */
  stepSeconds: Seconds[];
  /** Samples per second when the trial itself says so (the command engine); else it follows from stepSeconds. */
  samplesPerSecond: number | null;
  device: TrialDevice | null;
  /** Wall-clock time of the whole trial with process start. */
  seconds: Seconds;
  warnings: Warning[];
}

export interface EngineStatus {
  name: EngineName;
  status: 'ready' | 'missing' | 'broken';
  /** Version of the framework, null when it is not there. */
  version: string | null;
  /** Device it would run on ("cuda", "cpu" ...), null when not known. */
  device: string | null;
  /** Why it cannot run, or how it was found. */
  reason: string;
}

export interface Engine {
  readonly name: EngineName;
  /** Cheap check; never throws. */
  status(): Promise<EngineStatus>;
  /**
   * Runs one trial in one fresh child process. Rejects with MissingError when the engine or program is not there, and
   * with the signal's reason when aborted (after the child and all its children are gone).
   */
  runTrial(request: TrialRequest, signal: AbortSignal): Promise<TrialResult>;
}
