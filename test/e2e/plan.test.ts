import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { batchfit, batchfitJson, ROOT } from './run.js';

const folder = mkdtempSync(join(tmpdir(), 'batchfit-plan-'));
afterAll(() => rmSync(folder, { recursive: true }));
const RESNET = ['resnet50', '--device', 'rtx-3090', '--precision', 'amp-fp16', '--optimizer', 'momentum', '--dataset-size', '1281167'];
const MAIN = ['plan', ...RESNET, '--target-batch', '1024', '--reference-batch', '256', '--reference-lr', '0.1'];

describe('plan', () => {
  it('the main job: rate 0.4, 1024 samples an update, fits', async () => {
    const { document, exitCode } = await batchfitJson(MAIN);
    expect(exitCode).toBe(0);
    const { micro, accumulation, replicas } = document.batch;
    expect(micro * accumulation * replicas).toBe(1024);
    expect(document.learningRate).toMatchObject({ value: 0.4, rule: 'linear' });
    expect(document).toMatchObject({
      fits: true,
      memory: { fits: true },
      regime: 'mini-batch',
      warmup: { epochs: 5 },
      setup: { batch: micro, accumulation },
    });
    expect(document.memory.peak.deviceBytes.best).toBeLessThanOrEqual(document.device.usableBytes);
    expect(document.schedule.stepsPerEpoch).toBe(Math.ceil(Math.ceil(1281167 / micro) / accumulation));
  });
  it('answers in its first lines', async () => {
    const { stdout, exitCode } = await batchfit(MAIN);
    expect(exitCode).toBe(0);
    const lines = stdout.split('\n');
    expect(lines[0]).toBe('resnet50 on rtx-3090, amp-fp16');
    expect(lines[2]).toMatch(/^batch .* x accumulation .* = 1024: the largest micro batch /);
    expect(lines[3]).toMatch(/^learning rate {2}0\.4 \(.*\): linear rule/);
    expect(lines[5]).toMatch(/^warm-up {8}\d+ steps, .*: /);
    expect(stdout).toContain('fits: ');
    expect(stdout).toContain('because');
  });
  it.each([
    [10, 100],
    [100, 10],
    [1000, 1],
  ])('1000 samples at batch %i: %i steps an epoch', async (batch, steps) => {
    const { document } = await batchfitJson([
      'plan',
      'digits-mlp',
      '--device',
      'cpu',
      '--dataset-size',
      '1000',
      '--target-batch',
      `${batch}`,
    ]);
    expect(document.schedule.stepsPerEpoch).toBe(steps);
  });
  it.each([
    ['PyTorch makes an update at the end of an epoch', [], 4, 12],
    ['Keras carries on', ['--framework', 'tensorflow'], 3, 10],
    ['its exported configuration too', ['--export', 'keras'], 3, 10],
  ])('counts updates as the framework makes them: %s', async (_, words, stepsPerEpoch, totalSteps) => {
    const sizes = ['--dataset-size', '1000', '--batch', '100', '--accumulation', '3', '--epochs', '3'];
    const { document } = await batchfitJson(['plan', 'digits-cnn', '--device', 'a10', ...sizes, ...words]);
    expect(document.schedule).toMatchObject({ stepsPerEpoch, totalSteps });
  });
  it('clips gradients as the recipe that it follows, unless a flag says otherwise', async () => {
    const words = ['plan', 'gpt2', '--recipe', 'gpt3-125m', '--device', 'a100-80gb', '--export', 'hf-trainer'];
    const { document } = await batchfitJson(words);
    expect(document.setup.clipGradNorm).toBe(1);
    expect(JSON.parse(document.export.content).max_grad_norm).toBe(1);
    expect((await batchfitJson([...words, '--clip-grad-norm', '0.5'])).document.setup.clipGradNorm).toBe(0.5);
  });
  it('more memory per pass when gradients are kept over several', async () => {
    const limit = async (accumulation: string[]) =>
      (await batchfitJson(['plan', 'gpt2', '--device', 't4', ...accumulation])).document.maxBatch;
    const single = await limit(['--target-batch', '1']);
    const accumulated = await limit(['--target-batch', '512']);
    expect(accumulated.low).toBeLessThanOrEqual(single.low);
  });
  it('says no with exit 1 when not even one sample fits, and what would do', async () => {
    const { document, exitCode } = await batchfitJson(['plan', 'gpt2', '--device', 't4', '--memory', '1GiB']);
    expect(exitCode).toBe(1);
    expect(document).toMatchObject({ fits: false, batch: null, learningRate: null, memory: { fits: false } });
    expect(document.reasons[0].text).toContain('not even one sample fits');
  });
  it.each([
    [['--reference-lr', '0.1'], 'INCOMPLETE_REFERENCE'],
    [['--recipe', 'resnet50-goyl'], 'UNKNOWN_RECIPE'],
    [['--recipe', 'swin', '--optimizer', 'sgd'], 'RECIPE_OPTIMIZER'],
    [['--target-batch', '1e99'], 'BAD_NUMBER'],
    [['--momentum', '1'], 'BAD_NUMBER'],
    [['--probe', '--time-limit', 'soon'], 'BAD_DURATION'],
    [['--probe'], 'PROBE_ELSEWHERE'],
  ])('%j is bad usage: %s', async (flags, code) => {
    const { document, exitCode } = await batchfitJson(['plan', 'resnet50', '--device', 'rtx-3090', ...flags]);
    expect(document).toMatchObject({ schema: 'batchfit/error@1', error: { code } });
    expect(exitCode).toBe(2);
  });
  it('--export prints the configuration alone', async () => {
    const { stdout } = await batchfit([...MAIN, '--export', 'deepspeed', '-q']);
    expect(JSON.parse(stdout)).toMatchObject({ train_batch_size: 1024, optimizer: { type: 'SGD', params: { lr: 0.4, momentum: 0.9 } } });
    const { document } = await batchfitJson([...MAIN, '--export', 'env']);
    expect(document.export).toMatchObject({ name: 'env', filename: 'plan.env' });
  });
});

describe('check', () => {
  const path = join(folder, 'plan.json');
  it('takes a saved plan to another device', async () => {
    const { document: plan } = await batchfitJson([...MAIN, '--save', path]);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(plan);
    const here = await batchfitJson(['check', path, '--device', 'rtx-3090', '--require', 'fits', '--require', 'gpu.memory>=24GiB']);
    expect(here).toMatchObject({ exitCode: 0, document: { passed: true } });
    const smaller = await batchfitJson(['check', '--plan', path, '--device', 't4', '--memory', '6GiB']);
    expect(smaller).toMatchObject({ exitCode: 1, document: { passed: false } });
    expect(smaller.document.checks.find((check: { name: string }) => check.name === 'plan.fits')).toMatchObject({
      found: false,
      outcome: 'failed',
    });
  });
  it('a machine without the device, or that cannot be read, does not pass and does not say that it does not fit', async () => {
    const bin = join(folder, 'bin');
    await import('node:fs/promises').then((fs) => fs.mkdir(bin, { recursive: true }));
    writeFileSync(join(bin, 'nvidia-smi'), '#!/bin/sh\necho "Failed to initialize NVML" >&2\nexit 255\n', { mode: 0o755 });
    const broken = await batchfitJson(['check', path, '--require', 'gpu.count>=1'], { env: { PATH: `${bin}:${process.env.PATH}` } });
    expect(broken.exitCode).toBe(4);
    for (const check of broken.document.checks) expect(check).toMatchObject({ passed: false, outcome: 'unknown', found: null });
  });
  it('what needs a speed that nobody measured cannot be told: exit 4', async () => {
    expect(await batchfitJson(['check', path, '--device', 'rtx-3090', '--require', 'throughput>=100'])).toMatchObject({
      exitCode: 4,
      document: { passed: false },
    });
  });
  it('speaks to GitHub and in JUnit', async () => {
    const github = await batchfit(['check', path, '--device', 't4', '--memory', '6GiB', '--format', 'github']);
    expect(github.stdout).toMatch(/^::error title=batchfit plan\.fits::/m);
    const junit = await batchfit(['check', path, '--device', 't4', '--memory', '6GiB', '--format', 'junit']);
    expect(junit.stdout).toMatch(/<testsuite name="batchfit check" tests="\d+" failures="1" errors="0">/);
    expect(junit.exitCode).toBe(1);
  });
  it.each([
    [['--require', 'gpu.count>>1'], 'BAD_REQUIREMENT', 'position 11'],
    [['--require', 'gpu.colour'], 'UNKNOWN_FACT', 'gpu.colour'],
    [[], 'NOTHING_TO_CHECK', 'expected a plan'],
    [['--plan', `${ROOT}/package.json`], 'BAD_PLAN', 'package.json: '],
    [['--plan', 'nope.json'], 'BAD_PLAN', 'no such file'],
  ])('%j is bad usage: %s', async (args, code, message) => {
    const { document, exitCode } = await batchfitJson(['check', ...args]);
    expect(exitCode).toBe(2);
    expect(document.error.code).toBe(code);
    expect(document.error.message).toContain(message);
  });
});

describe('noise', () => {
  it('reads two columns', async () => {
    const path = join(folder, 'norms.csv');
    // |G|^2 = 1 and tr(Sigma) = 128 with a little scatter: 5 and 1.5 at batches 32 and 256.
    writeFileSync(
      path,
      `small_sq_norm,big_sq_norm\n${Array.from({ length: 40 }, (_, i) => `${5 + Math.sin(i)},${1.5 + 0.1 * Math.cos(i)}`).join('\n')}\n`,
    );
    const { document, exitCode } = await batchfitJson(['noise', '--from', path, '--small-batch', '32', '--big-batch', '256']);
    expect(exitCode).toBe(0);
    expect(document).toMatchObject({ enough: true, samples: 40, source: 'measured' });
    expect(Math.abs(document.noiseScale.value - 128)).toBeLessThan(10);
    expect(document.criticalBatch.low).toBeLessThan(document.noiseScale.low);
    expect(document.tradeoff.length).toBeGreaterThan(4);
  });
  it('says that it cannot tell from too few', async () => {
    const path = join(folder, 'few.csv');
    writeFileSync(path, 'small_sq_norm,big_sq_norm\n5,1.5\n4,1\n');
    const { document, exitCode } = await batchfitJson(['noise', '--from', path, '--small-batch', '32', '--big-batch', '256']);
    expect(exitCode).toBe(4);
    expect(document).toMatchObject({ enough: false, noiseScale: null, criticalBatch: null });
    expect(document.warnings[0].code).toBe('NOT_ENOUGH_SAMPLES');
  });
  it('prints lines that log the norms', async () => {
    for (const framework of ['torch', 'keras', 'jax']) {
      const { document } = await batchfitJson(['noise', '--snippet', framework]);
      expect(document.snippet).toContain('small_sq_norm,big_sq_norm');
      expect(document.snippet).toMatch(/^ +log\.write\(/m);
      expect(document.snippet.trim().split('\n').length).toBeLessThanOrEqual(10);
    }
  });
});

describe('diagnose', () => {
  const logs = `${ROOT}/test/fixtures/logs`;
  it.each([
    ['hf-trainer-overfitting.json', 'overfitting'],
    ['lightning-periodic.csv', 'periodic'],
    ['keras-too-short.csv', 'too-short'],
    ['tensorboard-healthy.tfevents', 'healthy'],
  ])('%s: %s', async (file, verdict) => {
    const { document, exitCode } = await batchfitJson(['diagnose', `${logs}/${file}`]);
    expect(exitCode).toBe(0);
    expect(document.verdict).toBe(verdict);
    expect(document.findings[0].kind).toBe(verdict);
  });
  it('draws the curves for people', async () => {
    const { stdout } = await batchfit(['diagnose', `${logs}/hf-trainer-overfitting.json`]);
    expect(stdout.split('\n')[0]).toMatch(/^overfitting \(confidence high\): /);
    expect(stdout).toContain('o eval_loss');
  });
  it('finds the log in the folder of a run, the newest of several', async () => {
    const { document } = await batchfitJson(['diagnose', logs]).catch(() => ({ document: null }));
    expect(document).toMatchObject({ log: { format: 'tensorboard' } });
  });
  it.each([
    [['nope'], 'BAD_LOG'],
    [[`${ROOT}/README.md`], 'BAD_LOG'],
    [[`${logs}/keras-healthy.csv`, '--columns', 'foo=bar'], 'BAD_COLUMNS'],
    [[`${logs}/keras-healthy.csv`, '--columns', 'train=nope'], 'BAD_COLUMNS'],
  ])('%j is bad usage: %s', async (args, code) => {
    const { document, exitCode } = await batchfitJson(['diagnose', ...args]);
    expect(document).toMatchObject({ error: { code } });
    expect(exitCode).toBe(2);
  });
});
