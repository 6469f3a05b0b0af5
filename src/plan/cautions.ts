/** What bites: settings whose arithmetic is right and whose training is not. Each is a warning with its reason. */
import type { Warning } from '../errors.js';
import { formatNumber } from './advice.js';
import type { BatchSplit } from './batch.js';
import { tradeoff } from './scaling.js';
import type { StepCount } from './schedule.js';

export interface CautionRequest {
  split: BatchSplit;
  target: number;
  steps: StepCount | null;
  datasetSize: number | null;
  dropLast: boolean;
  batchNorm: boolean;
  contrastive: boolean;
  /** Trained on tokens. */
  language: boolean;
  /** Samples differ in length. */
  mixedLengths: boolean;
  sequence: number | null;
  warmupSteps: number | null;
  /** Batch that the learning rate is known at. */
  referenceBatch: number | null;
  /** Batch up to which the reference's authors showed its rule to hold. */
  provenBatch: number | null;
  /** Measured, in samples. */
  noiseScale: number | null;
  epochs: number | null;
}

type Caution = (request: CautionRequest) => Warning | null;

const note = (code: string, message: string, hint: string): Warning => ({ code, message, hint });

const residue: Caution = ({ split, target }) =>
  split.residue === 0
    ? null
    : note(
        'BATCH_RESIDUE',
        `the effective batch is ${split.effective}, ${Math.abs(split.residue)} ${split.residue > 0 ? 'above' : 'below'} the target ${target}: no micro batch that fits divides it over ${split.replicas} replica${split.replicas === 1 ? '' : 's'}`,
        'choose a target with more divisors, such as a multiple of 64 times the replicas',
      );

/** ResNet-50's top-1 error by images a device, with batch norm and with group norm: He and Wu 2018 (arXiv 1803.08494). */
export const NORM_ERRORS = [
  { images: 32, batchNorm: 23.6, groupNorm: 24.1 },
  { images: 16, batchNorm: 23.7, groupNorm: 24.2 },
  { images: 8, batchNorm: 24.8, groupNorm: 24.0 },
  { images: 4, batchNorm: 27.3, groupNorm: 24.2 },
  { images: 2, batchNorm: 34.7, groupNorm: 24.1 },
] as const;
/** Below the first batch norm begins to lose, below the second it loses badly (our reading of that table). */
const SMALL = 16;
const TINY = 8;

const batchNorm: Caution = ({ split: { micro, accumulation }, batchNorm: has }) => {
  if (!has || micro >= SMALL) return null;
  const accumulated =
    accumulation > 1 ? `; accumulation does not help, each of the ${accumulation} micro batches is normalized by itself` : '';
  const { images, batchNorm: error, groupNorm } = NORM_ERRORS.find(({ images }) => images <= micro) ?? NORM_ERRORS.at(-1)!;
  return note(
    micro < TINY ? 'BATCH_NORM_TINY' : 'BATCH_NORM_SMALL',
    `batch norm sees only ${micro} sample${micro === 1 ? '' : 's'} at a time: ResNet-50's error was ${NORM_ERRORS[0].batchNorm} % at 32 images a device and ${error} % at ${images}, with group norm ${groupNorm.toFixed(1)} %${accumulated}`,
    'use SyncBatchNorm over replicas, group norm or frozen batch norm, or fit more samples (--checkpointing full, --precision amp-bf16)',
  );
};

const accumulatedStatistics: Caution = ({ split, batchNorm: has }) =>
  has && split.micro >= SMALL && split.accumulation > 1
    ? note(
        'BATCH_NORM_ACCUMULATION',
        `batch norm takes its statistics from ${split.micro} samples, not from ${split.effective}, and updates its running ones ${split.accumulation} times a step`,
        'keep the micro batch that the reference was trained with: it is a hyperparameter of its own',
      )
    : null;

const contrastiveLoss: Caution = ({ split, contrastive }) =>
  contrastive && split.accumulation > 1
    ? note(
        'CONTRASTIVE_ACCUMULATION',
        `a contrastive loss compares the samples of one micro batch: ${split.accumulation} micro batches of ${split.micro} are not a batch of ${split.effective}`,
        'gather the features of all replicas, cache the gradients (GradCache), or train with a larger micro batch',
      )
    : null;

const tokenMean: Caution = ({ split, language }) =>
  language && split.accumulation * split.replicas > 1
    ? note(
        'TOKEN_MEAN_LOSS',
        'a loss averaged in each micro batch weighs tokens unequally when micro batches hold different numbers of them',
        'divide the summed loss by the tokens of the whole effective batch (transformers does since 4.46; num_items_in_batch)',
      )
    : null;

const sequenceMix: Caution = ({ mixedLengths, sequence }) =>
  mixedLengths && sequence !== null
    ? note(
        'SEQUENCE_MIX',
        `memory is planned for ${sequence} tokens in every sample: shorter batches leave memory unused, longer ones do not fit`,
        'pack or bucket samples by length, and plan with --seq at the longest one',
      )
    : null;

const aboveData: Caution = ({ split, datasetSize }) => {
  if (datasetSize === null || split.effective <= datasetSize) return null;
  const world = split.micro * split.replicas;
  return world > datasetSize
    ? note(
        'BATCH_ABOVE_DATASET',
        `${world} samples in one pass are more than the ${datasetSize} of the data set`,
        `choose a target of at most ${datasetSize}`,
      )
    : note(
        'DATASET_BELOW_STEP',
        `one update wants ${split.effective} samples and the data set has ${datasetSize}: every epoch is one update from fewer samples`,
        `choose a target of at most ${datasetSize}`,
      );
};

const noStep: Caution = ({ steps, dropLast, datasetSize }) =>
  steps !== null && steps.stepsPerEpoch === 0
    ? note(
        'NO_STEP',
        `an epoch of ${datasetSize} samples ends before one update is made${dropLast ? ': the last, smaller batch is dropped' : ''}`,
        'lower the target batch, or keep the last batch',
      )
    : null;

const lastBatch: Caution = ({ steps, split, batchNorm: has, datasetSize, dropLast }) => {
  if (steps === null || dropLast || datasetSize === null || datasetSize <= split.micro * split.replicas) return null;
  const perReplica = Math.ceil(steps.lastMicroBatch / split.replicas);
  if (has && perReplica === 1 && split.micro > 1) {
    return note(
      'LAST_BATCH_OF_ONE',
      'the last micro batch of an epoch has one sample: batch norm refuses it or normalizes it to nothing',
      'drop the last batch: --drop-last',
    );
  }
  const share = steps.lastStepSamples / split.effective;
  return steps.stepsPerEpoch > 1 && share < 0.5
    ? note(
        'LAST_STEP_PARTIAL',
        `the last update of an epoch comes from ${steps.lastStepSamples} samples, ${formatNumber(share * 100)} % of the batch, at the full learning rate`,
        'drop the last batch, or scale its gradient by its share of the samples',
      )
    : null;
};

const fullBatch: Caution = ({ split, datasetSize }) =>
  datasetSize !== null && split.effective === datasetSize && datasetSize > 1
    ? note(
        'FULL_BATCH',
        'one update an epoch from the whole data set: for small data or convex problems, and slow elsewhere',
        'a mini-batch makes more updates from the same samples',
      )
    : null;

const longWarmup: Caution = ({ warmupSteps, steps }) =>
  warmupSteps !== null && steps?.totalSteps != null && warmupSteps > steps.totalSteps / 2 && steps.totalSteps > 0
    ? note(
        'WARMUP_TOO_LONG',
        `the warm-up of ${warmupSteps} steps takes more than half of the ${steps.totalSteps} steps of the run`,
        'train for more epochs, or with a smaller batch',
      )
    : null;

/** Above it the same epochs are worth less than at the reference's batch: B = Bcrit / 10 costs 1.1 times the fewest samples. */
const MORE_SAMPLES = 1.1;

const moreEpochs: Caution = ({ split, referenceBatch, noiseScale, epochs }) => {
  if (referenceBatch === null || noiseScale === null || epochs === null) return null;
  const factor = tradeoff(split.effective / noiseScale).samples / tradeoff(referenceBatch / noiseScale).samples;
  return factor < MORE_SAMPLES
    ? null
    : note(
        'EPOCHS_WORTH_LESS',
        `by its noise scale the task takes ${formatNumber(factor)} times the samples at batch ${split.effective} that it takes at ${referenceBatch} (McCandlish et al. 2018): ${formatNumber(epochs)} epochs reach what ${formatNumber(epochs / factor)} reach there`,
        `where the reference had ${formatNumber(epochs)} epochs, about ${Math.ceil(epochs * factor)} make up for it`,
      );
};

/** From here on means over 20 seeds tell what is missing: docs/study.md, digits and text, 8 and 16 times the batch. */
const FAR_FROM_REFERENCE = 8;

const fewerUpdates: Caution = ({ split, referenceBatch, noiseScale, provenBatch }) => {
  if (referenceBatch === null || noiseScale !== null || (provenBatch !== null && split.effective <= provenBatch)) return null;
  const kappa = split.effective / referenceBatch;
  return kappa < FAR_FROM_REFERENCE
    ? null
    : note(
        'FEWER_UPDATES',
        `an epoch makes ${formatNumber(kappa)} times fewer updates than at the reference's batch ${referenceBatch}: how far its samples are worth as much depends on the task's noise scale, which is not known (Shallue et al. 2019); small classifiers lost 0.3 to 0.8 points at 8 to 16 times the batch, with the right rate`,
        'measure it with batchfit noise and give it as --noise-scale: the plan then says how many epochs make up for it',
      );
};

const ALL: Caution[] = [
  residue,
  aboveData,
  noStep,
  batchNorm,
  accumulatedStatistics,
  contrastiveLoss,
  tokenMean,
  sequenceMix,
  lastBatch,
  fullBatch,
  moreEpochs,
  fewerUpdates,
  longWarmup,
];

/** Every caution that applies, the ones that break a run first. */
export function findCautions(request: CautionRequest): Warning[] {
  return ALL.flatMap((caution) => caution(request) ?? []);
}
