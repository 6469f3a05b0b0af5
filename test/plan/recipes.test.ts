// Every recipe returns itself at its own batch, and follows its named rule at twice and at half of it.
import { describe, expect, it } from 'vitest';
import { referenceSettings, scaleHyperparameters } from '../../src/plan/hyperparameters.js';
import { scaleLearningRate } from '../../src/plan/learning-rate.js';
import { OPTIMIZER_DEFAULTS } from '../../src/plan/optimizer.js';
import { planTraining } from '../../src/plan/plan.js';
import { batchInSamples, defaultRecipe, findRecipe, followed, parseRecipe, type Recipe } from '../../src/plan/recipe.js';
import type { MemoryOutlook } from '../../src/plan/training-plan.js';
import { chooseWarmup } from '../../src/plan/warmup.js';
import { named, recipes } from './recipes.js';

function apply(recipe: Recipe, kappa: number) {
  const optimizer = recipe.optimizer!;
  const reference = referenceSettings(optimizer, recipe);
  const scaled = scaleLearningRate({
    optimizer,
    batch: recipe.batch * kappa,
    reference: {
      batch: recipe.batch,
      learningRate: recipe.learningRate!,
      origin: 'recipe',
      name: recipe.name,
      source: recipe.source[0]!,
      rule: recipe.rule,
      limit: recipe.limit,
      momentum: recipe.momentum,
    },
    scaling: 'auto',
    datasetSize: null,
    noiseScale: null,
    momentum: null,
    beta1: reference.beta1,
    beta2: reference.beta2,
  });
  const rateRatio = scaled.learningRate.value / recipe.learningRate!;
  const settings = scaleHyperparameters({
    optimizer,
    reference,
    recipe,
    kappa,
    rateRatio,
    sde: false,
    momentum: null,
    language: recipe.unit === 'tokens',
  });
  return { ...scaled, settings };
}

/** Steps of an epoch at the recipe's own batch. */
const STEPS_PER_EPOCH = 100;
/** A device on which everything fits. */
const roomy: MemoryOutlook = { maxBatch: { low: 1e6, best: 1e6, high: 1e6 }, at: () => ({}), needs: () => 0 };

/** The plan for a model that reads what the recipe was made for, when the recipe is named and nothing else asked for. */
function planBy(recipe: Recipe) {
  const sequence = recipe.sequence ?? (recipe.unit === 'tokens' ? 2048 : null);
  const parameters = 1e9;
  return planTraining({
    device: { kind: 'cuda', name: 'roomy', usableBytes: 1e12 },
    host: null,
    model: {
      ...{ name: 'model', parameters, trainableParameters: parameters, batchNorm: false, contrastive: false, sequence, sampleBytes: null },
      task: recipe.task,
    },
    optimizer: recipe.optimizer ?? 'adamw',
    replicas: 1,
    memory: { single: roomy, accumulated: roomy },
    probed: null,
    curve: null,
    recipe,
    recipeNamed: true,
    fallback: null,
    remedies: () => [],
    request: {
      ...{ targetBatch: null, epochs: null, reference: null, noiseScale: null, goal: null, scaling: 'auto', momentum: null },
      ...{ dropLast: false, epochEnd: 'flush', mixedLengths: false, contrastive: false, micro: null, accumulation: null },
      ...{ pricePerHour: null, datasetSize: STEPS_PER_EPOCH * batchInSamples(recipe, sequence)! },
    },
  });
}

/** Its length in the unit that the recipe states it in, the other unit from the steps of an epoch, and the rate that it starts from. */
function expectWarmup({ warmup: own, ...recipe }: Recipe, { warmup, batch, learningRate }: ReturnType<typeof planBy>): void {
  if (own === null) {
    expect(recipe.source).not.toContain(warmup!.citation);
    return;
  }
  if (own.above !== undefined && recipe.batch <= own.above) {
    expect(warmup).toMatchObject({ steps: 0, epochs: 0, fromFraction: 1 });
    return;
  }
  const stated = {
    steps: () => own.steps!,
    epochs: () => Math.ceil(own.epochs! * STEPS_PER_EPOCH),
    fraction: () => Math.round(own.fraction! * recipe.steps!),
    tokens: () => Math.round(own.tokens! / batch!.tokensPerStep!),
  };
  const unit = (['steps', 'epochs', 'fraction', 'tokens'] as const).find((key) => own[key] !== undefined)!;
  expect(warmup!.steps).toBe(stated[unit]());
  expect(warmup!.epochs).toBe(own.epochs ?? warmup!.steps! / STEPS_PER_EPOCH);
  expect(warmup!.fromFraction * learningRate!.value).toBeCloseTo(own.from ?? 0, 12);
  expect(warmup!.citation).toBe(recipe.source[0]);
}

const rated = recipes.filter((recipe) => recipe.learningRate !== null);

/** The published rows that could be sourced: recipe, batch in its unit, peak rate (null: not published in a source that was read). */
const ROWS: Array<[string, number, number | null]> = [
  ['resnet50-goyal', 256, 0.1],
  ['resnet50-nvidia', 256, 0.256],
  ['resnet50-rsb', 2048, 0.005],
  ['resnet50-rsb-a3', 2048, 0.008],
  ['detectron2-mask-rcnn', 16, 0.02],
  ['bert-pretraining', 131_072, 1e-4],
  ['bert-fine-tuning', 32, 3e-5],
  ['bert-large-lamb-phase1', 65_536, 6e-3],
  ['bert-large-lamb-phase2', 32_768, 4e-3],
  ['vit', 4096, 0.003],
  ['deit', 512, 5e-4],
  ['convnext', 4096, 4e-3],
  ['convnext-22k', 4096, 4e-3],
  ['convnext-fine-tuning', 512, 5e-5],
  ['swin', 1024, 1e-3],
  ['whisper-large', 256, 1.75e-4],
  ['whisper-large-v2', 1024, 2e-4],
  ['clip', 32_768, null],
  ['stable-diffusion-v1', 2048, 1e-4],
  ['gpt3-125m', 500_000, 6e-4],
  ['gpt3-350m', 500_000, 3e-4],
  ['gpt3-760m', 500_000, 2.5e-4],
  ['gpt3-1.3b', 1_000_000, 2e-4],
  ['gpt3-2.7b', 1_000_000, 1.6e-4],
  ['gpt3-6.7b', 2_000_000, 1.2e-4],
  ['gpt3-13b', 2_000_000, 1e-4],
  ['gpt3-175b', 3_200_000, 6e-5],
  ['llama1-7b', 4_000_000, 3e-4],
  ['llama1-65b', 4_000_000, 1.5e-4],
  ['llama2-7b', 4_000_000, 3e-4],
  ['llama2-70b', 4_000_000, 1.5e-4],
  ['llama3-405b', 16_000_000, 8e-5],
  ['deepseek-v3', 15_360, 2.2e-4],
  ['glm-4.5', 64_000_000, null],
  ['kimi-k2', 67_000_000, null],
  ['pythia-70m', 1024, 1e-3],
  ['pythia-160m', 1024, 6e-4],
  ['pythia-410m', 1024, 3e-4],
  ['pythia-1b', 1024, 2.5e-4],
  ['pythia-1.4b', 1024, 2e-4],
  ['pythia-2.8b', 1024, 1.6e-4],
  ['pythia-6.9b', 1024, 1.2e-4],
  ['pythia-12b', 1024, 1.2e-4],
  ['gpt-neox-20b', 1536, 9.7e-5],
  ['olmo-1b', 2048, 4e-4],
  ['olmo-7b', 2048, 3e-4],
  ['olmo2-1b', 512, 4e-4],
  ['olmo-65b', 16_000_000, null],
  ['mpt-125m', 256, 6e-4],
  ['mpt-1b', 512, 2e-4],
  ['mpt-3b', 512, 1.6e-4],
  ['mpt-7b', 1024, 1.2e-4],
  ['mpt-70b', 2048, 8e-5],
  ['nanogpt-124m', 480, 6e-4],
  ['llmc-124m', 524_288, 6e-4],
  ['tinyllama', 512, 4e-4],
  ['hf-trainer-default', 8, 5e-5],
  ['timm-default', 256, 0.1],
  ['detectron2-default', 16, 0.001],
];

describe('recipes', () => {
  it('are all there', () => expect(recipes.length).toBeGreaterThanOrEqual(60));
  it.each(ROWS)('%s is the published row: batch %d, rate %s', (name, batch, rate) => {
    expect(named(name)).toMatchObject({ batch, learningRate: rate });
  });
  it('published base rules: timm and detectron2 linear, DeiT and Swin 5e-4 B/512, NVIDIA .256 B/256', () => {
    const at = (name: string, batch: number) => apply(named(name), batch / named(name).batch).learningRate.value;
    expect(at('timm-default', 1024)).toBeCloseTo((0.1 * 1024) / 256, 12);
    expect(at('detectron2-default', 64)).toBeCloseTo((0.001 * 64) / 16, 12);
    for (const batch of [256, 1024, 4096]) {
      expect(at('deit', batch)).toBeCloseTo((5e-4 * batch) / 512, 12);
      expect(at('swin', batch)).toBeCloseTo((5e-4 * batch) / 512, 12);
      expect(at('resnet50-nvidia', batch)).toBeCloseTo((0.256 * batch) / 256, 12);
    }
  });
  it('BERT is fine-tuned with one of its published rates, and small models with their own', () => {
    const { alternatives, learningRate, notes } = named('bert-fine-tuning');
    expect(alternatives).toEqual([5e-5, 3e-5, 2e-5]);
    expect(alternatives).toContain(learningRate);
    expect(notes).toContain('batch 16 or 32 with 5e-5, 3e-5 or 2e-5: choose on the validation set');
    expect(followed(named('bert-fine-tuning'), true).notes[0]).toBe('its authors choose the best of the rates 5e-5, 3e-5, 2e-5');
    expect(followed(named('clip'), true).notes[0]).toBe('decay of the learning rate: cosine');
    expect(notes).toContain('small models: 3e-4, 1e-4, 5e-5 or 3e-5 (README of google-research/bert)');
  });
  it('hold no number that could not be sourced', () => {
    for (const name of ['glm-4.5', 'kimi-k2', 'clip', 'olmo-65b']) expect(named(name).learningRate).toBeNull();
    for (const name of ['glm-4.5', 'kimi-k2']) expect(named(name).optimizer).toBeNull();
    expect(named('resnet50-goyal').weightDecay).toBeNull();
    expect(named('deit').batch).toBe(512);
    expect(named('convnext').warmup).toBeNull();
  });
  it.each(rated.map((recipe) => [recipe.name, recipe] as const))('%s comes back unchanged at its own batch', (_, recipe) => {
    const { learningRate, warnings, settings } = apply(recipe, 1);
    expect(learningRate.value).toBe(recipe.learningRate);
    expect(learningRate).toMatchObject({ rule: 'recipe', source: 'recipe', confidence: 'high' });
    expect(warnings).toEqual([]);
    for (const key of ['momentum', 'beta1', 'beta2', 'eps', 'weightDecay'] as const)
      if (recipe[key] !== null) expect(settings[key]).toBe(recipe[key]);
  });
  it.each(recipes.map((recipe) => [recipe.name, recipe] as const))('%s is what a plan answers that follows it', (_, recipe) => {
    const plan = planBy(recipe);
    const { optimizer, learningRate, schedule } = plan;
    const batch = plan.batch!;
    expect(plan).toMatchObject({ fits: true, recipe: { name: recipe.name, named: true, notes: expect.arrayContaining(recipe.notes) } });
    expect(batch).toMatchObject({ origin: 'recipe', residue: 0 });
    if (recipe.unit === 'samples') expect(batch.effective).toBe(recipe.batch);
    // The nearest whole number of sequences.
    else expect(Math.abs(batch.tokensPerStep! - recipe.batch)).toBeLessThanOrEqual(batch.tokensPerStep! / batch.effective / 2);
    if (recipe.learningRate === null) expect(learningRate).toMatchObject({ source: 'assumed', confidence: 'low' });
    else expect(learningRate).toMatchObject({ value: recipe.learningRate, rule: 'recipe', source: 'recipe', kappa: 1 });
    for (const key of ['momentum', 'beta1', 'beta2', 'eps', 'weightDecay'] as const)
      if (recipe[key] !== null) expect(optimizer[key], key).toBe(recipe[key]);
    if (recipe.optimizer !== null) expect(optimizer.name).toBe(recipe.optimizer);
    expect(schedule).toMatchObject({ epochs: recipe.epochs, stepsPerEpoch: STEPS_PER_EPOCH });
    expectWarmup(recipe, plan);
  });
  it.each(rated.flatMap((recipe) => [2, 0.5].map((kappa) => [recipe.name, kappa, recipe] as const)))(
    '%s times %d follows its named rule',
    (_, kappa, recipe) => {
      const { learningRate, settings } = apply(recipe, kappa);
      const factor = { linear: kappa, sqrt: Math.sqrt(kappa), lamb: Math.sqrt(kappa), none: 1 }[recipe.rule];
      expect(learningRate.value / recipe.learningRate!).toBeCloseTo(factor, 12);
      expect(learningRate.rule).toBe(recipe.rule);
      if (settings.beta2 !== null) expect(settings.beta2 > 0 && settings.beta2 < 1).toBe(true);
    },
  );
  it('marks the AdamW recipes that scale linearly', () => {
    for (const name of ['deit', 'swin']) {
      expect(apply(named(name), 2).warnings.map((warning) => warning.code)).toEqual(['RECIPE_SCALES_LINEARLY']);
      expect(OPTIMIZER_DEFAULTS[named(name).optimizer!].family).toBe('adaptive');
    }
  });
  it('warm up as they say at their own batch', () => {
    const warm = (name: string, batch: number, extra = {}) => {
      const recipe = named(name);
      const settings = referenceSettings(recipe.optimizer!, recipe);
      return chooseWarmup({
        optimizer: recipe.optimizer!,
        recipe,
        batch,
        kappa: batch / recipe.batch,
        beta2: settings.beta2,
        stepsPerEpoch: 100,
        totalSteps: null,
        tokensPerStep: null,
        ...extra,
      });
    };
    expect(warm('llama2-7b', 4_000_000).steps).toBe(2000);
    expect(warm('olmo-7b', 2048).steps).toBe(5000);
    expect(warm('pythia-410m', 1024).steps).toBe(1430);
    expect(warm('bert-large-lamb-phase1', 65536).steps).toBe(2001);
    expect(warm('gpt3-125m', 500_000, { tokensPerStep: 500_000 }).steps).toBe(750);
    expect(warm('resnet50-goyal', 256)).toMatchObject({ steps: 0 });
    expect(warm('resnet50-goyal', 1024)).toMatchObject({ steps: 500, epochs: 5, fromFraction: 0.25 });
    // detectron2 starts at 1e-3 of the peak at every batch; timm at a rate of 1e-5.
    for (const name of ['detectron2-default', 'detectron2-mask-rcnn'])
      for (const batch of [16, 64]) expect(warm(name, batch)).toMatchObject({ steps: 16_000 / batch, fromFraction: 1e-3 });
    expect(warm('timm-default', 256)).toMatchObject({ epochs: 5, fromFraction: 1e-4 });
    expect(warm('swin', 1024)).toMatchObject({ epochs: 20 });
    expect(warm('resnet50-nvidia', 256)).toMatchObject({ steps: 0 });
    expect(warm('resnet50-nvidia', 512)).toMatchObject({ epochs: 5 });
    // In tokens for a language model, with a floor of 1 / (1 - beta2); epochs times kappa for LAMB.
    expect(warm('llama2-7b', 8_000_000).steps).toBe(1000);
    expect(warm('nanogpt-124m', 480 * 8).steps).toBe(1000);
    for (const [batch, epochs] of [
      [4096, 2.5],
      [8192, 5],
      [16384, 10],
      [32768, 20],
    ] as const)
      expect(warm('resnet50-lamb', batch).epochs).toBe(epochs);
  });
  it('are found by model, optimizer and task', () => {
    const find = (
      name: string,
      optimizer: Parameters<typeof findRecipe>[2],
      task: Parameters<typeof findRecipe>[1]['task'] = 'image-classification',
    ) => findRecipe(recipes, { name, task }, optimizer)?.name ?? null;
    expect(find('resnet50', null)).toBe('resnet50-goyal');
    expect(find('timm:resnet50', 'nesterov')).toBe('resnet50-goyal');
    expect(find('resnet50', 'lamb')).toBe('resnet50-rsb');
    expect(find('resnet50', 'adamw')).toBeNull();
    expect(find('swin_tiny_patch4_window7_224', 'adamw')).toBe('swin');
    expect(find('gpt2', 'adamw', 'language-model')).toBe('nanogpt-124m');
    expect(find('bert-base-uncased', 'adamw', 'masked-language-model')).toBe('bert-pretraining');
    expect(find('bert-base-uncased', 'adamw', 'sequence-classification')).toBe('bert-fine-tuning');
    expect(find('clip-vit-base', 'adam', 'contrastive')).toBeNull();
    expect(defaultRecipe(recipes, 'image-classification', 'momentum')?.name).toBe('timm-default');
    expect(defaultRecipe(recipes, 'language-model', 'adamw')?.name).toBe('hf-trainer-default');
    expect(defaultRecipe(recipes, 'image-classification', 'adamw')).toBeNull();
  });
  it('count their batch in samples of the model at hand', () => {
    expect(batchInSamples(named('nanogpt-124m'), 1024)).toBe(480);
    expect(batchInSamples(named('nanogpt-124m'), 512)).toBe(960);
    expect(batchInSamples(named('llama2-7b'), 4096)).toBe(977);
    expect(batchInSamples(named('llama2-7b'), null)).toBeNull();
    expect(batchInSamples(named('resnet50-goyal'), null)).toBe(256);
  });
  it('name the file and the field when one is wrong', () => {
    const broken = { title: 'x', kind: 'published', evidence: 'primary', source: 'x', task: 'any', models: [], batch: 0 };
    expect(() => parseRecipe('broken', { ...broken, unit: 'samples', rule: 'linear' })).toThrow('recipe broken: batch');
    expect(() => parseRecipe('broken', null)).toThrow('recipe broken: top level');
  });
});
