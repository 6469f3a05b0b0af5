import { describe, expect, it } from 'vitest';
import { NORM_ERRORS } from '../../src/plan/cautions.js';
import type { ModelFacts } from '../../src/plan/model-facts.js';
import { planTraining } from '../../src/plan/plan.js';
import type { SpeedCurve } from '../../src/plan/throughput.js';
import type { PlanInput, PlanRequest } from '../../src/plan/training-plan.js';
import { named } from './recipes.js';

const resnet: ModelFacts = {
  name: 'resnet50',
  parameters: 25_557_032,
  trainableParameters: 25_557_032,
  task: 'image-classification',
  batchNorm: true,
  contrastive: false,
  sequence: null,
  sampleBytes: 602_120,
};
const gpt2: ModelFacts = {
  ...resnet,
  name: 'gpt2',
  parameters: 124_439_808,
  trainableParameters: 124_439_808,
  task: 'language-model',
  batchNorm: false,
  sequence: 1024,
  sampleBytes: 16_384,
};
const nothing: PlanRequest = {
  targetBatch: null,
  datasetSize: null,
  epochs: null,
  reference: null,
  noiseScale: null,
  goal: null,
  scaling: 'auto',
  momentum: null,
  dropLast: false,
  epochEnd: 'flush',
  mixedLengths: false,
  contrastive: false,
  micro: null,
  accumulation: null,
  pricePerHour: null,
};
/** A device where `low` samples surely fit and `best` probably, and the same when gradients are kept. */
function upTo(low: number, best = low): PlanInput['memory'] {
  const outlook = {
    maxBatch: { low, best, high: best },
    at: (batch: number) => ({ peakBytes: batch * 1e8 }),
    needs: (batch: number) => batch * 1e8,
  };
  return { single: outlook, accumulated: outlook };
}
function input(request: Partial<PlanRequest> = {}, rest: Partial<PlanInput> = {}): PlanInput {
  return {
    device: { kind: 'cuda', name: 'rtx-3090', usableBytes: 24e9 },
    host: null,
    model: resnet,
    optimizer: 'momentum',
    replicas: 1,
    memory: upTo(200, 210),
    probed: null,
    curve: null,
    recipe: null,
    recipeNamed: false,
    fallback: null,
    remedies: () => [],
    request: { ...nothing, ...request },
    ...rest,
  };
}
const plan = (request: Partial<PlanRequest> = {}, rest: Partial<PlanInput> = {}) => planTraining(input(request, rest));
const codes = (request: Partial<PlanRequest> = {}, rest: Partial<PlanInput> = {}) => plan(request, rest).warnings.map(({ code }) => code);
const reference = { batch: 256, learningRate: 0.1 };
/** A device with a fixed cost of 10 ms and 1 ms a sample: the rate saturates slowly. */
const curve: SpeedCurve = {
  points: [1, 2, 4, 8, 16, 32, 64, 128, 256].map((batch) => ({ batch, stepSeconds: 0.01 + 0.001 * batch, source: 'measured' as const })),
};

describe('the main job', () => {
  const main = { targetBatch: 1024, datasetSize: 1_281_167, reference };
  it('ResNet-50 at 1024 from 0.1 at 256: rate 0.4, 1024 exactly, fits', () => {
    const result = plan(main, { recipe: named('resnet50-goyal') });
    expect(result.learningRate).toMatchObject({ value: expect.closeTo(0.4, 12), rule: 'linear' });
    expect(result.batch).toMatchObject({ micro: 128, accumulation: 8, replicas: 1, effective: 1024, residue: 0 });
    expect(result).toMatchObject({ fits: true, regime: 'mini-batch', memory: { fits: true } });
    expect(result.schedule).toMatchObject({ stepsPerEpoch: Math.ceil(Math.ceil(1_281_167 / 128) / 8) });
    expect(result.warmup).toMatchObject({ epochs: 5, steps: 5 * result.schedule!.stepsPerEpoch!, fromFraction: 0.25 });
    expect(result.reasons.every(({ source, text }) => source !== '' && text !== '')).toBe(true);
  });
  it('splitting the same batch in another way leaves rate, warm-up and schedule unchanged', () => {
    const results = [
      plan(main),
      plan(main, { replicas: 4 }),
      plan(main, { replicas: 2, memory: upTo(32, 32) }),
      plan({ ...main, micro: 16 }),
      plan({ ...main, accumulation: 16 }),
    ];
    for (const result of results) {
      expect(result.batch!.effective).toBe(1024);
      expect(result.learningRate!.value).toBeCloseTo(0.4, 12);
      expect(result.learningRate).toEqual(results[0]!.learningRate);
      expect(result.warmup!.epochs).toBe(5);
      expect(Math.abs(result.schedule!.stepsPerEpoch! - 1252)).toBeLessThanOrEqual(1);
    }
  });
  it('names both sides of the evidence on large batches, above 512 samples alone', () => {
    const said = (targetBatch: number) =>
      plan({ targetBatch, reference }).reasons.filter(({ text }) => /Keskar.*Shallue/.test(text)).length;
    expect([512, 1024].map(said)).toEqual([0, 1]);
  });
  it('small batches: more momentum is named as the heuristic that it is, with the rate that it would need (X2)', () => {
    const said = (targetBatch: number) => {
      const { reasons, learningRate } = plan({ targetBatch, reference });
      const text = reasons.find((each) => each.text.includes('common heuristic'))?.text;
      return text && Number(/use (\S+) as the rate/.exec(text)![1]) / learningRate!.value;
    };
    expect(said(32)).toBeCloseTo(0.5, 2);
    expect(said(1024)).toBeUndefined();
  });
  it('restoring the reference batch by accumulation keeps the rate', () => {
    const result = plan({ reference, datasetSize: 50_000 }, { memory: upTo(16, 16) });
    expect(result.batch).toMatchObject({ effective: 256, micro: 16, accumulation: 16, origin: 'reference' });
    expect(result.learningRate).toMatchObject({ value: 0.1, rule: 'none' });
    expect(result.warmup).toMatchObject({ steps: 0 });
  });
});

describe('without a target', () => {
  it('takes the recipe, then the noise scale, then a moderate start', () => {
    expect(plan({}, { recipe: named('resnet50-goyal') })).toMatchObject({
      batch: { effective: 256, origin: 'recipe' },
      learningRate: { value: 0.1, rule: 'recipe' },
    });
    expect(plan({ noiseScale: 900 })).toMatchObject({ batch: { effective: 1024, origin: 'noise-scale' } });
    expect(plan()).toMatchObject({ batch: { effective: 64, accumulation: 1, origin: 'start' }, confidence: 'low' });
    expect(plan({}, { memory: upTo(40, 40) })).toMatchObject({
      batch: { effective: 32, accumulation: 1 },
    });
    expect(plan({}, { memory: upTo(6, 6) })).toMatchObject({
      batch: { effective: 32, micro: 4, accumulation: 8 },
    });
    expect(plan({ datasetSize: 10 })).toMatchObject({ batch: { effective: 10 }, regime: 'full-batch' });
  });
  it('gpt2 by nanoGPT: 480 sequences of 1024 tokens at 6e-4, warm-up in tokens', () => {
    const language = { model: gpt2, optimizer: 'adamw' as const, recipe: named('nanogpt-124m') };
    expect(plan({}, language)).toMatchObject({
      batch: { effective: 480, tokensPerStep: 491_520 },
      learningRate: { value: 6e-4, rule: 'recipe' },
      warmup: { steps: 2000 },
    });
    const doubled = plan({ targetBatch: 960 }, language);
    expect(doubled).toMatchObject({
      learningRate: { value: expect.closeTo(6e-4 * Math.SQRT2, 12), rule: 'sqrt' },
      warmup: { steps: 1000 },
    });
    expect(doubled.optimizer.beta2).toBeCloseTo(0.999 ** 2, 12);
    expect(doubled.optimizer.weightDecay).toBeCloseTo(0.01 * Math.SQRT2, 12);
  });
});

describe('goals', () => {
  it('throughput takes the knee, generalization the smallest batch near it', () => {
    expect(plan({ goal: 'throughput' }, { curve })).toMatchObject({ batch: { effective: 128, accumulation: 1, origin: 'goal' } });
    expect(plan({ goal: 'generalization' }, { curve })).toMatchObject({ batch: { effective: 64, origin: 'goal' } });
  });
  it('time takes the highest goodput: larger with a larger noise scale', () => {
    const batchAt = (noiseScale: number) => plan({ goal: 'time', noiseScale }, { curve }).batch!.effective;
    expect(batchAt(10)).toBeLessThan(batchAt(1000));
    const result = plan({ goal: 'time', noiseScale: 100 }, { curve });
    const times = result.candidates.filter(({ fits }) => fits).map(({ relativeTimeToTarget }) => relativeTimeToTarget!);
    expect(Math.min(...times)).toBeCloseTo(1, 9);
  });
  it('without the data they need they do not decide, and say so', () => {
    const result = plan({ goal: 'time' });
    expect(result.batch!.origin).toBe('start');
    expect(result.reasons.some(({ text }) => text.includes('--goal time'))).toBe(true);
  });
});

describe('throughput, noise and candidates', () => {
  it('are null, not invented, where nothing is known', () => {
    const result = plan({ targetBatch: 512 });
    expect(result.throughput).toMatchObject({ stepSeconds: null, samplesPerSecond: null, source: null });
    expect(result.noise).toEqual({ scale: null, source: null, efficiency: null });
    for (const candidate of result.candidates)
      expect(candidate).toMatchObject({ stepSeconds: null, relativeTimeToTarget: null, relativeCompute: null });
  });
  it('follow the measured curve, the price and the noise scale', () => {
    const result = plan({ targetBatch: 512, datasetSize: 51_200, epochs: 10, noiseScale: 512, pricePerHour: 3.6, reference }, { curve });
    expect(result.batch).toMatchObject({ micro: 128, accumulation: 4 });
    expect(result.throughput).toMatchObject({
      stepSeconds: expect.closeTo(4 * 0.138, 9),
      secondsPerEpoch: expect.closeTo(400 * 0.138, 6),
      costPerEpoch: expect.closeTo((400 * 0.138) / 1000, 9),
      source: 'calibrated',
    });
    expect(result.noise).toEqual({ scale: 512, source: 'measured', efficiency: 0.5 });
    const own = result.candidates.find(({ recommended }) => recommended)!;
    expect(own).toMatchObject({ effective: 512, relativeTimeToTarget: 1, relativeCompute: 2, fits: true });
    expect(result.candidates.map(({ effective }) => effective)).toEqual([128, 256, 512, 512, 1024, 2048]);
    expect(result.candidates.filter(({ fits }) => !fits)).toMatchObject([{ micro: 512, accumulation: 1 }]);
    for (const { micro, accumulation, effective } of result.candidates) expect(micro * accumulation).toBe(effective);
  });
});

describe('what a probe measured', () => {
  it('replaces the estimate as the limit', () => {
    const result = plan({ targetBatch: 1024, reference }, { probed: { largest: 300, accumulated: true, peakBytes: { 256: 20e9 } } });
    expect(result.batch).toMatchObject({ micro: 256, source: 'measured' });
    expect(result.memory).toMatchObject({ measuredPeakBytes: 20e9 });
    expect(result.confidence).toBe('high');
  });
  it('warns when only the best estimate fits', () => {
    expect(codes({}, { memory: upTo(0, 3) })).toContain('MEMORY_TIGHT');
  });
});

describe('when nothing fits', () => {
  const none = { maxBatch: { low: 0, best: 0, high: 0 }, at: () => ({}), needs: () => 30 * 2 ** 30 };
  const tooLarge = { single: none, accumulated: none };
  it('says so, with what would make it fit', () => {
    const result = plan(
      {},
      {
        memory: tooLarge,
        remedies: () => [
          { change: '--checkpointing full', maxBatch: 4 },
          { change: '--precision bf16', maxBatch: 0 },
        ],
      },
    );
    expect(result).toMatchObject({ fits: false, batch: null, learningRate: null, memory: { fits: false }, candidates: [] });
    expect(result.remedies).toEqual([{ change: '--checkpointing full', maxBatch: 4 }]);
    expect(result.reasons.map(({ text }) => text)).toEqual([
      'not even one sample fits on rtx-3090',
      'it needs up to 30.00 GiB, and 22.35 GiB may be used: a larger device would do',
      'with --checkpointing full a micro batch of 4 fits',
    ]);
  });
  it('and for a micro batch that was asked for', () => {
    expect(plan({ micro: 512 })).toMatchObject({ fits: false });
    expect(plan({ targetBatch: 1024, accumulation: 1 })).toMatchObject({ fits: false });
  });
});

describe('settings of the optimizer', () => {
  const language = { model: gpt2, optimizer: 'adamw' as const };
  it("a user's own reference stands by itself, beside a recipe that the model is merely known by", () => {
    const result = plan(
      { targetBatch: 512, reference: { batch: 128, learningRate: 1e-3 } },
      { ...language, recipe: named('nanogpt-124m') },
    );
    expect(result.learningRate).toMatchObject({ value: expect.closeTo(2e-3, 12), rule: 'sqrt' });
    expect(result.optimizer.beta2).toBeCloseTo(0.999 ** 4, 12);
    expect(result).toMatchObject({ recipe: null });
  });
  it('a named recipe gives its rule to it', () => {
    const result = plan(
      { targetBatch: 2048, reference: { batch: 1024, learningRate: 8e-4 } },
      { optimizer: 'adamw', recipe: named('swin'), recipeNamed: true },
    );
    expect(result.learningRate).toMatchObject({ value: expect.closeTo(1.6e-3, 12), rule: 'linear' });
    expect(result.optimizer).toMatchObject({ beta2: 0.999, weightDecay: 0.05 });
    expect(result.warmup).toMatchObject({ epochs: 20 });
  });
  it('the SDE rule scales betas and eps with the rate', () => {
    const result = plan({ targetBatch: 1024, reference, scaling: 'sde' }, { optimizer: 'adam' });
    expect(result.optimizer).toMatchObject({
      beta1: expect.closeTo(0.6, 12),
      beta2: expect.closeTo(0.996, 12),
      eps: expect.closeTo(5e-9, 15),
    });
  });
  it('a momentum asked for keeps rate / (1 - momentum)', () => {
    const result = plan({ targetBatch: 256, reference, momentum: 0.95 });
    expect(result.optimizer.momentum).toBe(0.95);
    expect(result.learningRate!.value).toBeCloseTo(0.05, 12);
  });
  it('never scales a learning rate across model sizes from the batch alone', () => {
    const rates = ['pythia-70m', 'pythia-1b', 'pythia-12b'].map(
      (name) => plan({}, { ...language, optimizer: 'adam', recipe: named(name), recipeNamed: true }).learningRate!.value,
    );
    expect(rates).toEqual([1e-3, 2.5e-4, 1.2e-4]);
  });
  it('small data warms up for 5 epochs while the length of the run is not known', () => {
    const { warmup } = plan({ targetBatch: 64, datasetSize: 1797 }, { optimizer: 'adamw' });
    expect(warmup).toMatchObject({ epochs: 5, steps: 5 * 29 });
    expect(warmup!.why).toContain('2 / (1 - beta2) = 2000 steps would be 68.97');
    expect(plan({ targetBatch: 64, datasetSize: 1_000_000 }, { optimizer: 'adamw' }).warmup).toMatchObject({ steps: 2000 });
  });
  it('SGD keeps four fifths of a short run at its full rate', () => {
    const reference = { batch: 16, learningRate: 0.1 };
    const run = (epochs: number) => plan({ targetBatch: 64, reference, datasetSize: 64 * 100, epochs }, { optimizer: 'momentum' }).warmup;
    expect(run(90)).toMatchObject({ epochs: 5, steps: 500 });
    expect(run(10)).toMatchObject({ epochs: 2, steps: 200, fromFraction: 0.25 });
    expect(run(10)!.why).toContain('20 % of a run that is too short for 5 epochs');
  });
  it('a short run warms up for 5 % of its steps', () => {
    expect(plan({ targetBatch: 64, datasetSize: 1797, epochs: 30 }, { optimizer: 'adamw' }).warmup).toMatchObject({
      steps: Math.round(0.05 * 870),
    });
  });
});

describe('what bites', () => {
  const small = { memory: upTo(4, 4) };
  it.each([
    ['batch norm under small micro batches', 'BATCH_NORM_TINY', { targetBatch: 64 }, small],
    ['batch norm under accumulation', 'BATCH_NORM_ACCUMULATION', { targetBatch: 1024 }, {}],
    ['a contrastive loss', 'CONTRASTIVE_ACCUMULATION', { targetBatch: 1024, contrastive: true }, {}],
    ['the token-count bug', 'TOKEN_MEAN_LOSS', { targetBatch: 480 }, { model: gpt2, optimizer: 'adamw' }],
    ['sequence-length mixes', 'SEQUENCE_MIX', { targetBatch: 8, mixedLengths: true }, { model: gpt2, optimizer: 'adamw' }],
    ['batch above the data set', 'BATCH_ABOVE_DATASET', { targetBatch: 200, datasetSize: 150 }, {}],
    ['data set smaller than a step', 'DATASET_BELOW_STEP', { targetBatch: 2000, datasetSize: 1000 }, {}],
    ['full batch', 'FULL_BATCH', { targetBatch: 100, datasetSize: 100 }, {}],
    ['no step at all', 'NO_STEP', { targetBatch: 200, datasetSize: 150, dropLast: true }, {}],
    ['a last batch of one', 'LAST_BATCH_OF_ONE', { targetBatch: 100, datasetSize: 1001 }, {}],
    ['a small last update', 'LAST_STEP_PARTIAL', { targetBatch: 100, datasetSize: 1010 }, {}],
    ['a residue', 'BATCH_RESIDUE', { targetBatch: 1000 }, { replicas: 3 }],
    ['a warm-up longer than the run', 'WARMUP_TOO_LONG', { targetBatch: 1024, datasetSize: 50_000, epochs: 1 }, { optimizer: 'lamb' }],
    [
      'a batch near the data set',
      'BATCH_NEAR_DATASET',
      { targetBatch: 512, reference: { batch: 64, learningRate: 0.1 }, datasetSize: 2000 },
      {},
    ],
    [
      'epochs that are worth less at a larger batch',
      'EPOCHS_WORTH_LESS',
      { targetBatch: 512, reference: { batch: 64, learningRate: 0.1 }, datasetSize: 60_000, epochs: 10, noiseScale: 512 },
      {},
    ],
    [
      'laws outside their fit',
      'LAWS_OUTSIDE_FIT',
      { targetBatch: 480, datasetSize: 2e9 },
      { model: { ...gpt2, parameters: 7e9 }, optimizer: 'adamw' },
    ],
  ] as [string, string, Partial<PlanRequest>, Partial<PlanInput>][])('%s: %s', (_, code, request, rest) => {
    expect(codes(request, rest)).toContain(code);
    expect(plan(request, rest).warnings.every(({ message, hint }) => message !== '' && hint !== '')).toBe(true);
  });
  it('the epochs that the noise scale asks for: (1 + B / Bn) / (1 + reference / Bn) times those of the reference', () => {
    const at = (targetBatch: number) =>
      plan({ targetBatch, reference: { batch: 64, learningRate: 0.1 }, datasetSize: 60_000, epochs: 10, noiseScale: 512 }).warnings.find(
        ({ code }) => code === 'EPOCHS_WORTH_LESS',
      );
    expect(at(512)!.message).toContain('takes 1.778 times the samples at batch 512 that it takes at 64');
    expect(at(512)!.hint).toBe('where the reference had 10 epochs, about 18 make up for it');
    expect(at(128)!.hint).toBe('where the reference had 10 epochs, about 12 make up for it');
    expect(at(96)).toBeUndefined();
    expect(at(32)).toBeUndefined();
  });
  it('fewer updates, where no noise scale says what they cost and no recipe was shown to hold', () => {
    const at = (targetBatch: number, rest: Partial<PlanRequest> = {}) =>
      codes({ targetBatch, reference: { batch: 64, learningRate: 0.1 }, datasetSize: 60_000, epochs: 10, ...rest });
    expect(at(512)).toContain('FEWER_UPDATES');
    expect(at(448)).not.toContain('FEWER_UPDATES');
    expect(at(512, { noiseScale: 512 })).not.toContain('FEWER_UPDATES');
    expect(codes({ targetBatch: 4096, datasetSize: 1_281_167, epochs: 90 }, { recipe: named('resnet50-goyal') })).not.toContain(
      'FEWER_UPDATES',
    );
  });
  it('and a plain setting has none', () => {
    expect(codes({ targetBatch: 128, datasetSize: 50_000, epochs: 90 }, { recipe: named('resnet50-goyal') })).toEqual([]);
  });
});

describe('table 3.7: batch norm by images a device', () => {
  it.each([
    [32, 23.6, 24.1],
    [16, 23.7, 24.2],
    [8, 24.8, 24.0],
    [4, 27.3, 24.2],
    [2, 34.7, 24.1],
  ])('%i images: batch norm %d %%, group norm %d %%', (images, batchNorm, groupNorm) => {
    expect(NORM_ERRORS).toContainEqual({ images, batchNorm, groupNorm });
    const warning = plan({ micro: images, targetBatch: images }).warnings.find(({ code }) => code.startsWith('BATCH_NORM'));
    if (images >= 16) expect(warning).toBeUndefined();
    else expect(warning!.message).toContain(`${batchNorm} % at ${images}`);
    expect(warning?.code).toBe(images >= 16 ? undefined : images < 8 ? 'BATCH_NORM_TINY' : 'BATCH_NORM_SMALL');
  });
});

describe('language-model laws', () => {
  it('are a range beside the plan, never its numbers', () => {
    const request = { targetBatch: 480, datasetSize: 2_500_000 };
    const result = plan(request, { model: gpt2, optimizer: 'adamw', recipe: named('nanogpt-124m') });
    expect(result.learningRate!.value).toBe(6e-4);
    expect(result.crossCheck!.learningRate.low).toBeLessThan(result.crossCheck!.learningRate.high);
    expect(result.crossCheck!.laws.map(({ law }) => law)).toEqual([
      ...['DeepSeek', 'Step Law', 'Moonlight', 'Schaipp', 'nanochat', 'Kaplan', 'Power Lines'],
    ]);
    const decay = result.crossCheck!.laws.find(({ law }) => law === 'Power Lines')!.weightDecay!;
    const tokens = 2_500_000 * 1024;
    // lambda = B TPP^0.527 / (1.084 eta D)
    expect(decay).toBeCloseTo((480 * 1024 * (tokens / gpt2.parameters) ** 0.527) / (1.084 * 6e-4 * tokens), 9);
    expect(plan(request).crossCheck).toBeNull();
  });
});
