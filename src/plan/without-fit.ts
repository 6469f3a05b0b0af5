/** The plan's answer when the model does not fit: how far off it is and what would make it fit. */
import { formatBytes } from '../units.js';
import { OPTIMIZER_DEFAULTS } from './optimizer.js';
import { followed } from './recipe.js';
import type { PlanInput, TrainingPlan } from './training-plan.js';

/** `max` is the largest micro batch that fits (0 for none), `wanted` the one that was asked for. */
export function planWithoutFit(input: PlanInput, max: number, wanted: number): TrainingPlan {
  const { optimizer, device, probed, recipe } = input;
  const memory = input.memory.single;
  const { family: _family, learningRate: _rate, source, ...settings } = OPTIMIZER_DEFAULTS[optimizer];
  const remedies = input.remedies().filter(({ maxBatch }) => maxBatch >= wanted);
  return {
    fits: false,
    batch: null,
    learningRate: null,
    optimizer: { name: optimizer, ...settings, why: `from ${source}`, citation: source },
    warmup: null,
    schedule: null,
    regime: null,
    memory: { ...memory.at(wanted), fits: false, measuredPeakBytes: probed?.peakBytes[wanted] ?? null },
    maxBatch: memory.maxBatch,
    throughput: {
      stepSeconds: null,
      samplesPerSecond: null,
      tokensPerSecond: null,
      knee: null,
      secondsPerEpoch: null,
      costPerEpoch: null,
      totalSeconds: null,
      totalCost: null,
      source: null,
      why: 'nothing to run',
    },
    noise: { scale: input.request.noiseScale, source: null, efficiency: null },
    candidates: [],
    loader: null,
    recipe: recipe && followed(recipe, input.recipeNamed),
    crossCheck: null,
    remedies,
    confidence: probed === null ? 'medium' : 'high',
    reasons: [
      {
        topic: 'memory',
        text:
          max < 1
            ? `not even one sample fits on ${device.name}`
            : `a micro batch of ${wanted} was asked for, and at most ${max} fit${max === 1 ? 's' : ''} on ${device.name}`,
        source: probed === null ? 'memory estimate' : 'probe',
      },
      {
        topic: 'memory',
        text: `it needs up to ${formatBytes(memory.needs(wanted))}, and ${formatBytes(device.usableBytes)} may be used: a larger device would do`,
        source: 'memory estimate',
      },
      ...remedies.map(({ change, maxBatch }) => ({
        topic: 'memory' as const,
        text: `with ${change} a micro batch of ${maxBatch} fits`,
        source: 'memory estimate',
      })),
    ],
    warnings: [],
  };
}
