/** Which effective batch to aim at when nobody said: the goal, a recipe, the noise scale, else a moderate start. */
import { formatNumber, type Reason } from './advice.js';
import { splitBatch } from './batch.js';
import { findKnee, goodput, NEAR_KNEE_SHARE, rateAt, type SpeedCurve } from './throughput.js';

export const GOALS = ['time', 'throughput', 'generalization'] as const;
export type Goal = (typeof GOALS)[number];
export type TargetOrigin = 'user' | 'reference' | 'goal' | 'recipe' | 'noise-scale' | 'start';

export interface TargetRequest {
  /** What the user asked for, null when they did not. */
  target: number | null;
  /** Batch of a setting that the user knows to work. */
  referenceBatch: number | null;
  /** Batch of the recipe in samples of this model. */
  recipe: { name: string; batch: number; source: string } | null;
  noiseScale: number | null;
  goal: Goal | null;
  maxMicro: number;
  maxAccumulated: number;
  replicas: number;
  datasetSize: number | null;
  curve: SpeedCurve | null;
}

export interface Target {
  batch: number;
  origin: TargetOrigin;
  reason: Reason;
}

/** S26: start at a moderate 32 or 64, then look at training and validation loss while varying it. */
const STARTS = [64, 32];
const MCCANDLISH = 'McCandlish et al. 2018 (arXiv 1812.06162)';

/** Order: the user, the goal where its data is there, the user's reference, a recipe, the noise scale, the start. */
export function chooseTarget(request: TargetRequest): Target {
  const { target, goal, recipe, referenceBatch, noiseScale, datasetSize } = request;
  const answer = (batch: number, origin: TargetOrigin, text: string, source: string): Target => ({
    batch,
    origin,
    reason: { topic: 'batch', text, source },
  });
  if (target !== null) return answer(target, 'user', `an effective batch of ${target} was asked for`, 'the user');
  const byGoal = goal === null ? null : targetOfGoal(goal, request);
  if (byGoal !== null) return answer(byGoal.batch, 'goal', byGoal.text, byGoal.source);
  if (referenceBatch !== null) {
    return answer(
      referenceBatch,
      'reference',
      `the batch of the reference setting, ${referenceBatch}, so that its learning rate stays`,
      'the user',
    );
  }
  if (recipe !== null && (datasetSize === null || recipe.batch <= datasetSize)) {
    return answer(recipe.batch, 'recipe', `${recipe.name} trains at an effective batch of ${recipe.batch}`, recipe.source);
  }
  if (noiseScale !== null) {
    const batch = withinData(nearestPowerOfTwo(noiseScale), datasetSize);
    return answer(
      batch,
      'noise-scale',
      `near the noise scale ${formatNumber(noiseScale)}: twice the fewest steps at twice the fewest samples`,
      MCCANDLISH,
    );
  }
  return startingBatch(request, answer);
}

function startingBatch(
  { maxMicro, replicas, datasetSize }: TargetRequest,
  answer: (batch: number, origin: TargetOrigin, text: string, source: string) => Target,
): Target {
  const fitting = STARTS.find((start) => start <= maxMicro * replicas);
  const batch = withinData(fitting ?? STARTS.at(-1)!, datasetSize);
  return answer(
    batch,
    'start',
    `no target, recipe or noise scale: a moderate start of ${batch}; vary it up and down and judge on a validation set`,
    'common practice; no batch is best for every model (Shallue et al. 2018, arXiv 1811.03600)',
  );
}

/** What a goal asks for, null when the data it needs is not there. */
function targetOfGoal(goal: Goal, request: TargetRequest): { batch: number; text: string; source: string } | null {
  const { curve, maxMicro, maxAccumulated, replicas, noiseScale, datasetSize } = request;
  if (goal === 'time') {
    if (curve === null || curve.points.length === 0 || noiseScale === null) return null;
    const options = powersOfTwo(withinData(4 * Math.max(noiseScale, maxMicro * replicas), datasetSize)).flatMap((batch) => {
      const { micro, effective } = splitBatch({ target: batch, replicas, maxMicro, maxAccumulated, rate: (size) => rateAt(curve, size) });
      const rate = rateAt(curve, micro);
      return rate === null ? [] : [{ batch: effective, goodput: goodput(rate * replicas, effective, noiseScale) }];
    });
    if (options.length === 0) return null;
    const best = options.reduce((a, b) => (b.goodput > a.goodput ? b : a));
    return {
      batch: best.batch,
      text: `the highest goodput: throughput times 1 / (1 + B / noise scale) peaks at ${best.batch}`,
      source: 'Pollux (AdaptDL); McCandlish et al. 2018 (arXiv 1812.06162)',
    };
  }
  const knee = findKnee(curve, maxMicro, goal === 'generalization' ? NEAR_KNEE_SHARE : undefined);
  if (knee === null) return null;
  return goal === 'throughput'
    ? { batch: knee * replicas, text: `the knee of the throughput curve: ${knee} on each device`, source: 'Google tuning playbook' }
    : {
        batch: knee * replicas,
        text: `the smallest batch near the knee of the throughput curve: ${knee} on each device, without accumulation`,
        source: 'Marek et al. 2025 (arXiv 2507.07101)',
      };
}

const withinData = (batch: number, datasetSize: number | null) =>
  datasetSize === null ? batch : Math.min(batch, Math.max(1, datasetSize));

const nearestPowerOfTwo = (value: number) => 2 ** Math.max(0, Math.round(Math.log2(value)));

function powersOfTwo(limit: number): number[] {
  const powers: number[] = [];
  for (let power = 1; power <= limit; power *= 2) powers.push(power);
  return powers;
}
