/** The plan itself and what it is made from: data in, data out. */
import type { Warning } from '../errors.js';
import type { Optimizer } from '../setup.js';
import type { Bytes, Seconds, Source } from '../units.js';
import type { Confidence, Reason } from './advice.js';
import type { Regime } from './batch.js';
import type { Candidate } from './candidates.js';
import type { OptimizerSettings } from './hyperparameters.js';
import type { LawAnswer } from './language-laws.js';
import type { LearningRate, Scaling } from './learning-rate.js';
import type { LoaderAdvice } from './loader.js';
import type { ModelFacts } from './model-facts.js';
import type { Recipe } from './recipe.js';
import type { EpochEnd, StepCount } from './schedule.js';
import type { Goal, TargetOrigin } from './target.js';
import type { SpeedCurve } from './throughput.js';
import type { Warmup } from './warmup.js';

/** Memory at one micro batch: the estimate's `memory` object. */
export type MemoryAt = Record<string, unknown>;

export interface MemoryOutlook {
  /** Largest micro batch by the estimate's high, best and low peak; 0 where not even one sample fits. */
  maxBatch: { low: number; best: number; high: number };
  at: (batch: number) => MemoryAt;
  /** Upper bound of the device memory that a batch takes. */
  needs: (batch: number) => Bytes;
}

/** What a probe measured; null fields where it did not get that far. */
export interface ProbedLimit {
  /** Largest micro batch that ran, 0 when one sample did not. */
  largest: number;
  /** Whether its trials kept gradients over several passes. */
  accumulated: boolean;
  /** Highest device or host memory by micro batch. */
  peakBytes: Record<number, Bytes | null>;
}

/** A change of the setup that makes more fit, with the largest micro batch it allows. */
export interface Remedy {
  change: string;
  maxBatch: number;
}

export interface PlanRequest {
  /** What the user asks for; null where they left it to the plan. */
  targetBatch: number | null;
  datasetSize: number | null;
  epochs: number | null;
  reference: { batch: number; learningRate: number } | null;
  noiseScale: number | null;
  goal: Goal | null;
  scaling: Scaling;
  /** Momentum to train with, null to keep the reference's. */
  momentum: number | null;
  dropLast: boolean;
  epochEnd: EpochEnd;
  /** Samples differ in length. */
  mixedLengths: boolean;
  /** The model's loss compares the samples of a batch, whatever its name says. */
  contrastive: boolean;
  /** A micro batch or an accumulation that the user fixed. */
  micro: number | null;
  accumulation: number | null;
  pricePerHour: number | null;
}

export interface PlanInput {
  device: { kind: string; name: string; usableBytes: Bytes };
  /** Null when planning for a machine that is not this one. */
  host: { usableCores: number } | null;
  model: ModelFacts;
  optimizer: Optimizer;
  /** Data-parallel copies of the model: devices over tensor-parallel groups. */
  replicas: number;
  /** For updates of one pass and of several: gradients that are kept take memory. */
  memory: { single: MemoryOutlook; accumulated: MemoryOutlook };
  probed: ProbedLimit | null;
  curve: SpeedCurve | null;
  /** The recipe that the user named or the model is known by, and the framework default to fall back on. */
  recipe: Recipe | null;
  recipeNamed: boolean;
  fallback: Recipe | null;
  /** Called only when nothing fits. */
  remedies: () => Remedy[];
  request: PlanRequest;
}

export interface PlannedBatch {
  micro: number;
  accumulation: number;
  replicas: number;
  effective: number;
  target: number;
  residue: number;
  tokensPerStep: number | null;
  origin: TargetOrigin;
  /** Of the limit that the micro batch keeps to. */
  source: Source;
  why: string;
}

export interface PlannedThroughput {
  stepSeconds: Seconds | null;
  samplesPerSecond: number | null;
  tokensPerSecond: number | null;
  knee: number | null;
  secondsPerEpoch: Seconds | null;
  costPerEpoch: number | null;
  totalSeconds: Seconds | null;
  totalCost: number | null;
  source: Source | null;
  why: string;
}

export interface CrossCheck {
  laws: LawAnswer[];
  learningRate: { low: number; high: number };
  batchTokens: { low: number; high: number };
  /** The plan's own numbers lie between the laws'. */
  within: { learningRate: boolean; batch: boolean };
}

export interface TrainingPlan {
  fits: boolean;
  batch: PlannedBatch | null;
  learningRate: LearningRate | null;
  optimizer: OptimizerSettings;
  warmup: Warmup | null;
  schedule:
    | ({ [Field in keyof StepCount]: StepCount[Field] | null } & { epochs: number | null; epochEnd: EpochEnd; dropLast: boolean })
    | null;
  regime: Regime | null;
  /** With the highest peak that a probe measured at this micro batch. */
  memory: MemoryAt & { fits: boolean; measuredPeakBytes: Bytes | null };
  maxBatch: MemoryOutlook['maxBatch'];
  throughput: PlannedThroughput;
  noise: { scale: number | null; source: Source | null; efficiency: number | null };
  candidates: Candidate[];
  loader: LoaderAdvice | null;
  recipe: { name: string; title: string; named: boolean; notes: string[] } | null;
  crossCheck: CrossCheck | null;
  remedies: Remedy[];
  confidence: Confidence;
  reasons: Reason[];
  warnings: Warning[];
}
