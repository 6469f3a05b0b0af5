import { describe, expect, it } from 'vitest';
import { renderNoise } from '../../src/output/noise-text.js';
import { criticalBatch, estimateNoiseScale, tradeoffTable } from '../../src/plan/noise.js';
import { LOG_LIMITS, languageModelNoise, noiseLimits } from '../../src/plan/noise-limits.js';
import { planTraining } from '../../src/plan/plan.js';
import type { Task } from '../../src/plan/recipe.js';
import type { MemoryOutlook } from '../../src/plan/training-plan.js';

describe('a measured model', () => {
  const codes = (setting: Partial<Parameters<typeof noiseLimits>[0]>) =>
    noiseLimits({ trainSteps: 500, loss: 0.4, language: false, ...setting }).map(({ code }) => code);
  it('early in training, and for language models', () => {
    expect(codes({})).toEqual([]);
    expect(codes({ trainSteps: 0 })).toEqual(['EARLY_TRAINING']);
    expect(codes({ language: true })).toEqual(['LANGUAGE_MODEL_NOISE']);
    expect(noiseLimits({ trainSteps: 500, loss: 3, language: true })[0]!.message).toContain(
      "Kaplan's law has 1069000 tokens at a loss of 3",
    );
  });
});

describe('the text', () => {
  const batches = { smallBatch: 32, bigBatch: 256 };
  const estimate = estimateNoiseScale({ samples: Array.from({ length: 8 }, () => ({ small: 5, big: 1.5 })), ...batches });
  const text = (measurement: object | null) =>
    renderNoise({ ...estimate, criticalBatch: criticalBatch(estimate.noiseScale!), tradeoff: tradeoffTable(128), measurement });
  it('of a log has every limit, as nobody knows what was trained', () => {
    const lines = text(null).split('\n');
    expect(lines.find((line) => line.startsWith('critical batch'))).toContain('known to an order of magnitude');
    expect(lines.slice(-2)).toEqual(LOG_LIMITS);
    expect(lines.at(-2)).toMatch(/^early training: .* grows tenfold/);
    expect(lines.at(-1)).toMatch(/^language models: .* below the critical batch .*Merrill et al. 2025/);
  });
  it('of a measured model leaves them to its warnings', () => {
    const measured = text({ engine: 'torch', data: 'digits.npz', device: null, trainSteps: 500, loss: 0.4 });
    for (const limit of LOG_LIMITS) expect(measured).not.toContain(limit);
  });
});

describe('a plan with a noise scale', () => {
  const outlook: MemoryOutlook = { maxBatch: { low: 64, best: 64, high: 64 }, at: () => ({}), needs: () => 0 };
  const warnings = (task: Task, noiseScale: number | null) => {
    const plan = planTraining({
      device: { kind: 'cuda', name: 'a100-40gb', usableBytes: 40e9 },
      host: null,
      model: {
        ...{ name: 'gpt2', parameters: 124_439_808, trainableParameters: 124_439_808, task },
        ...{ batchNorm: false, contrastive: false, sequence: 1024, sampleBytes: 16_384 },
      },
      ...{ optimizer: 'adamw', replicas: 1, memory: { single: outlook, accumulated: outlook }, probed: null, curve: null },
      ...{ recipe: null, recipeNamed: false, fallback: null, remedies: () => [] },
      request: {
        ...{ targetBatch: 1920, reference: { batch: 480, learningRate: 6e-4 }, noiseScale, scaling: 'auto' },
        ...{ datasetSize: null, epochs: null, goal: null, momentum: null, dropLast: false, epochEnd: 'flush' },
        ...{ mixedLengths: false, contrastive: false, micro: null, accumulation: null, pricePerHour: null },
      },
    });
    return plan.warnings;
  };
  const codes = (...request: Parameters<typeof warnings>) => warnings(...request).map(({ code }) => code);
  it('has the warning of a measured language model, after the cap that it puts in doubt', () => {
    const found = warnings('language-model', 500);
    const at = found.findIndex(({ code }) => code === 'LANGUAGE_MODEL_NOISE');
    expect(found.slice(0, at).map(({ code }) => code)).toContain('ABOVE_NOISE_SCALE');
    expect(found[at]).toEqual(languageModelNoise(null));
    expect(noiseLimits({ trainSteps: 500, loss: null, language: true })).toEqual([found[at]]);
  });
  it('below it as well, as it chooses the batch and counts the samples', () => {
    expect(codes('language-model', 5000)).toContain('LANGUAGE_MODEL_NOISE');
    expect(codes('language-model', 5000)).not.toContain('ABOVE_NOISE_SCALE');
  });
  it('not for other models, nor without a noise scale', () => {
    expect(codes('masked-language-model', 500)).not.toContain('LANGUAGE_MODEL_NOISE');
    expect(codes('sequence-classification', 500)).not.toContain('LANGUAGE_MODEL_NOISE');
    expect(codes('language-model', null)).not.toContain('LANGUAGE_MODEL_NOISE');
  });
});
