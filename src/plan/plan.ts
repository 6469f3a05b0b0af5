/** The plan: from what fits, what is asked for and what is known to work, to every number of a training run. */
import { weakest } from './advice.js';
import { type BatchSplit, classifyRegime, splitBatch } from './batch.js';
import { listCandidates } from './candidates.js';
import { findCautions } from './cautions.js';
import { checkAgainstLaws } from './cross-check.js';
import { type Hyperparameters, referenceSettings, scaleHyperparameters } from './hyperparameters.js';
import { type RateReference, scaleLearningRate } from './learning-rate.js';
import { limitMicroBatch, type MicroLimit } from './limit.js';
import { adviseLoader } from './loader.js';
import { languageModelNoise } from './noise-limits.js';
import { explainSplit, reasonsOf } from './reasons.js';
import { batchInSamples, followed } from './recipe.js';
import { chooseReference } from './reference.js';
import { countSteps } from './schedule.js';
import { chooseTarget } from './target.js';
import { rateAt, statisticalEfficiency } from './throughput.js';
import { foreseeThroughput } from './throughput-plan.js';
import type { PlanInput, TrainingPlan } from './training-plan.js';
import { chooseWarmup } from './warmup.js';
import { planWithoutFit } from './without-fit.js';

/**
 * Plans one training run. Pure: memory, speed and measurements come in as data. Where nothing fits, the plan says so
 * (`fits` false, `batch` null) with what would make it fit; it never throws for a model that is too large.
 */
export function planTraining(input: PlanInput): TrainingPlan {
  const { probed, request, model, replicas, curve, optimizer } = input;
  const recipe = followedRecipe(input);
  const { datasetSize, noiseScale, dropLast, epochEnd } = request;
  const limit = limitMicroBatch(input);
  if (limit.single < 1) return planWithoutFit(input, limit.single, 1);
  const recipeBatch = recipe === null ? null : batchInSamples(recipe, model.sequence);
  const known = { maxMicro: limit.single, maxAccumulated: limit.accumulated, replicas, datasetSize, curve, noiseScale };
  const target = chooseTarget({
    ...known,
    target: request.targetBatch ?? fixedTarget(input),
    referenceBatch: request.reference?.batch ?? null,
    recipe: recipe === null || recipeBatch === null ? null : { name: recipe.name, batch: recipeBatch, source: recipe.source[0]! },
    goal: request.goal,
  });
  const split = splitTarget(target.batch, limit, input);
  const allowed = split.accumulation > 1 ? limit.accumulated : limit.single;
  if (split.micro > allowed) return planWithoutFit(input, allowed, split.micro);
  const memory = split.accumulation > 1 ? input.memory.accumulated : input.memory.single;

  const epochs = request.epochs ?? recipe?.epochs ?? null;
  const steps = datasetSize === null ? null : countSteps({ ...split, datasetSize, dropLast, epochEnd, epochs });
  const tokensPerStep = model.sequence === null ? null : split.effective * model.sequence;
  const settings = referenceSettings(optimizer, recipe);
  const reference = chooseReference(input, recipe, recipeBatch, settings);
  const { learningRate, warnings: rateWarnings, sde } = rateFor(split.effective, reference, settings, input);
  // Of the batch that the other settings were found at.
  const kappa = recipeBatch === null ? learningRate.kappa : split.effective / recipeBatch;
  const hyperparameters = scaleHyperparameters({
    optimizer,
    reference: settings,
    recipe,
    kappa,
    rateRatio: learningRate.value / (recipe?.learningRate ?? reference.learningRate),
    sde,
    momentum: request.momentum,
    language: model.sequence !== null,
  });
  const warmup = chooseWarmup({
    optimizer,
    recipe,
    batch: split.effective,
    kappa,
    beta2: hyperparameters.beta2,
    stepsPerEpoch: steps?.stepsPerEpoch ?? null,
    totalSteps: steps?.totalSteps ?? null,
    tokensPerStep,
  });
  const laws = checkAgainstLaws({ model, tokensPerStep, datasetSize, epochs, learningRate: learningRate.value });
  const cautions = findCautions({
    split,
    target: target.batch,
    steps,
    datasetSize,
    dropLast,
    batchNorm: model.batchNorm,
    contrastive: model.contrastive || request.contrastive || input.recipe?.accumulable === false,
    language: model.sequence !== null,
    mixedLengths: request.mixedLengths,
    sequence: model.sequence,
    warmupSteps: warmup.steps,
    referenceBatch: reference.batch,
    provenBatch: reference.limit,
    noiseScale,
    epochs,
  });
  const noiseWarnings = noiseScale !== null && model.task === 'language-model' ? [languageModelNoise(null)] : [];
  const { residue: _, ...planned } = split;
  return {
    fits: true,
    batch: {
      ...planned,
      target: target.batch,
      residue: split.residue,
      tokensPerStep,
      origin: target.origin,
      source: limit.source,
      why: explainSplit(split, limit),
    },
    learningRate,
    optimizer: hyperparameters,
    warmup,
    schedule: { ...(steps ?? UNKNOWN_STEPS), epochs, epochEnd, dropLast },
    regime: classifyRegime(split.effective, datasetSize),
    memory: { ...memory.at(split.micro), fits: true, measuredPeakBytes: probed?.peakBytes[split.micro] ?? null },
    maxBatch: memory.maxBatch,
    throughput: foreseeThroughput({
      split,
      curve,
      maxMicro: limit.single,
      steps,
      sequence: model.sequence,
      pricePerHour: request.pricePerHour,
    }),
    noise: {
      scale: noiseScale,
      source: noiseScale === null ? null : 'measured',
      efficiency: noiseScale === null ? null : statisticalEfficiency(split.effective, noiseScale),
    },
    candidates: listCandidates({
      ...known,
      chosen: split,
      learningRateAt: (effective) => rateFor(effective, reference, settings, input).learningRate.value,
    }),
    loader: adviseLoader({
      micro: split.micro,
      replicas,
      usableCores: input.host?.usableCores ?? null,
      sampleBytes: model.sampleBytes,
      accelerator: input.device.kind !== 'cpu' && input.device.kind !== 'mps',
    }),
    recipe: recipe && followed(recipe, input.recipeNamed),
    crossCheck: laws.result,
    remedies: [],
    confidence: weakest(learningRate.confidence, limit.confidence),
    reasons: reasonsOf({ target: target.reason, split, limit, learningRate, hyperparameters, warmup, input, epochs }),
    warnings: [...limit.warnings, ...rateWarnings, ...noiseWarnings, ...cautions, ...laws.warnings],
  };
}

/** A user's own setting stands by itself; a recipe that the model is merely known by has no say in it. */
function followedRecipe({ recipe, recipeNamed, request }: PlanInput) {
  return request.reference !== null && !recipeNamed ? null : recipe;
}

const UNKNOWN_STEPS = {
  microBatchesPerEpoch: null,
  stepsPerEpoch: null,
  totalSteps: null,
  lastMicroBatch: null,
  lastStepSamples: null,
  unusedSamples: null,
};

/** A target that follows from what the user fixed: micro * accumulation * replicas. */
function fixedTarget({ request: { micro, accumulation }, replicas }: PlanInput): number | null {
  return micro !== null && accumulation !== null ? micro * accumulation * replicas : null;
}

/** Splits the target around a micro batch or an accumulation that the user fixed, else as splitBatch finds best. */
function splitTarget(target: number, limit: MicroLimit, { request, replicas, curve }: PlanInput): BatchSplit {
  if (request.micro === null && request.accumulation === null) {
    const { single: maxMicro, accumulated: maxAccumulated } = limit;
    return splitBatch({ target, replicas, maxMicro, maxAccumulated, rate: (micro) => rateAt(curve, micro) });
  }
  const micro = request.micro ?? Math.max(1, Math.round(target / (request.accumulation! * replicas)));
  const accumulation = request.accumulation ?? Math.max(1, Math.round(target / (micro * replicas)));
  const effective = micro * accumulation * replicas;
  return { micro, accumulation, replicas, effective, residue: effective - target };
}

function rateFor(batch: number, reference: RateReference, settings: Hyperparameters, { optimizer, request }: PlanInput) {
  const { scaling, datasetSize, noiseScale, momentum } = request;
  const { beta1, beta2 } = settings;
  return scaleLearningRate({ optimizer, batch, reference, scaling, datasetSize, noiseScale, momentum, beta1, beta2 });
}
