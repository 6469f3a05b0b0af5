/** The noise scale of a real task, measured by the engines that `engines install` made. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runChild } from '../../src/probe/child.js';
import { createTorchEngine } from '../../src/probe/engines/torch/engine.js';
import { batchfit, batchfitJson, ROOT } from './run.js';

const FIXTURES = join(ROOT, 'test', 'fixtures', 'noise');
const DIGITS = join(FIXTURES, 'digits.npz');
const folder = mkdtempSync(join(tmpdir(), 'batchfit-noise-'));
afterAll(() => rmSync(folder, { recursive: true }));
// One thread is enough for batches this small.
const env = { OMP_NUM_THREADS: '1' };
const FEW = ['--small-batch', '16', '--big-batch', '64', '--updates', '24', '--train-steps', '20'];

it('digits with a small CNN: PyTorch and TensorFlow agree within a factor 1.5', { timeout: 600_000 }, async () => {
  const measured = [];
  for (const engine of ['torch', 'tfjs']) {
    const { document, exitCode } = await batchfitJson(['noise', 'digits-cnn', '--data', DIGITS, '--engine', engine, ...FEW], { env });
    expect({ exitCode, error: document.error }).toEqual({ exitCode: 0 });
    expect(document).toMatchObject({ source: 'measured', enough: true, samples: 24, smallBatch: 16, bigBatch: 64 });
    expect(document.measurement).toMatchObject({ engine, trainSteps: 20, optimizer: 'adamw', learningRate: 0.001 });
    expect(document.tradeoff.length).toBeGreaterThan(4);
    measured.push(document);
  }
  const [torch, tfjs] = measured;
  // The same first weights and samples: the losses are the same but for rounding.
  expect(Math.abs(torch.measurement.loss / tfjs.measurement.loss - 1)).toBeLessThan(0.05);
  const ratio = torch.noiseScale.value / tfjs.noiseScale.value;
  expect(Math.max(ratio, 1 / ratio)).toBeLessThan(1.5);
});

describe('data for PyTorch', () => {
  const tiny = ['--small-batch', '8', '--big-batch', '16', '--updates', '8', '--train-steps', '0', '--engine', 'torch'];
  it.each(['dataset', 'loader', 'arrays', 'batches'])('a function that returns %s', { timeout: 300_000 }, async (kind) => {
    const { document } = await batchfitJson(['noise', 'digits-mlp', '--data', `${FIXTURES}/digits_data.py:${kind}`, ...tiny], { env });
    // The multi-layer perceptron takes 64 features, these are images: said, not guessed.
    const wrong = kind === 'arrays' ? /input features is not among labels, image/ : /samples of shape \[64\], found .*\[1, 8, 8\]/;
    expect(document.error).toMatchObject({ code: 'NOISE_UNSUPPORTED', message: expect.stringMatching(wrong) });
    const fits = await batchfitJson(['noise', 'digits-cnn', '--data', `${FIXTURES}/digits_data.py:${kind}`, ...tiny], { env });
    expect([fits.document.error, fits.document.samples]).toEqual([undefined, 8]);
  });
  it('anything else is refused by name', { timeout: 120_000 }, async () => {
    const { document, exitCode } = await batchfitJson(
      ['noise', 'digits-cnn', '--data', `${FIXTURES}/digits_data.py:model_without_batches`, ...tiny],
      { env },
    );
    expect([exitCode, document.error.code]).toEqual([2, 'NOISE_UNSUPPORTED']);
    expect(document.error.message).toContain('expected a Dataset, a DataLoader, arrays or batches, found int');
  });
});

it('says what is wrong with what it was given, before any engine starts', async () => {
  const cases: [string[], string, number][] = [
    [['noise'], 'NOTHING_TO_READ', 2],
    [['noise', 'digits-cnn', '--engine', 'torch'], 'DATA_MISSING', 2],
    [['noise', 'digits-cnn', '--engine', 'tfjs', '--data', 'train.py:dataset'], 'BAD_DATA', 2],
    [['noise', 'digits-cnn', '--engine', 'tfjs', '--data', 'nope.npz'], 'BAD_DATA', 2],
    [['noise', 'digits-mlp', '--engine', 'tfjs', '--data', DIGITS], 'BAD_DATA', 2],
    [['noise', 'digits-cnn', '--engine', 'tfjs', '--data', DIGITS, '--classes', '5'], 'BAD_DATA', 2],
    [['noise', 'digits-cnn', '--data', DIGITS, '--small-batch', '32', '--big-batch', '100'], 'BAD_BATCHES', 2],
    [['noise', 'digits-cnn', '--data', DIGITS, '--from', 'log.csv'], 'LOG_AND_MODEL', 2],
    [['noise', 'no-such-model', '--engine', 'tfjs', '--data', DIGITS], 'UNKNOWN_MODEL', 2],
    [['noise', '--from', 'log.csv', '--small-batch', '32'], 'BAD_BATCHES', 2],
  ];
  for (const [args, code, exit] of cases) {
    const { document, exitCode } = await batchfitJson(args);
    expect([args.join(' '), document.error?.code, exitCode]).toEqual([args.join(' '), code, exit]);
  }
});

describe('the limits', () => {
  it('a log: in the text, whatever was trained', async () => {
    const log = join(folder, 'steady.csv');
    writeFileSync(log, `small_sq_norm,big_sq_norm\n${'5,1.5\n'.repeat(40)}`);
    const { stdout } = await batchfit(['noise', '--from', log, '--small-batch', '32', '--big-batch', '256']);
    expect(stdout).toMatch(/^critical batch .*order of magnitude/m);
    expect(stdout).toMatch(/^early training: /m);
    expect(stdout).toMatch(/^language models: /m);
    const { document } = await batchfitJson(['noise', '--from', log, '--small-batch', '32', '--big-batch', '256']);
    expect(document.warnings).toEqual([]);
  });
  it('a plan of a language model with a noise scale: a warning', async () => {
    const request = ['--recipe', 'nanogpt-124m', '--device', 'a100-40gb', '--target-batch', '1920', '--noise-scale', '500'];
    const { document } = await batchfitJson(['plan', 'gpt2', ...request]);
    const codes = document.warnings.map(({ code }: { code: string }) => code);
    expect(codes).toEqual(expect.arrayContaining(['ABOVE_NOISE_SCALE', 'LANGUAGE_MODEL_NOISE']));
  });
});

it('the lines for PyTorch log what the estimator reads', { timeout: 120_000 }, async () => {
  const { stdout } = await batchfit(['noise', '--snippet', 'torch']);
  const log = join(folder, 'log.csv');
  const script = join(folder, 'train.py');
  // A gradient of 3 in each of 4 places and noise of variance 1: |G|^2 = 36, tr(Sigma) = 4, a noise scale of 1/9.
  writeFileSync(
    script,
    `import torch
${stdout}
torch.manual_seed(1)
model = torch.nn.Linear(4, 1, bias=False)
with open(${JSON.stringify(log)}, "w") as log:
    log.write("small_sq_norm,big_sq_norm\\n")
    for step in range(60):
        model.zero_grad()
        for part in range(8):
            x = 3 + torch.randn(2, 4)
            (model(x).mean() / 8).backward()
            after_micro_batch(model, 8)
        before_step(log)
`,
  );
  const python = (await createTorchEngine().status()).reason.split(',')[0]!;
  const signal = new AbortController().signal;
  const ran = await runChild({ command: [python, script], timeoutSeconds: 100, memoryCapBytes: null, signal });
  expect([ran.exitCode, ran.stderr.includes('Error')]).toEqual([0, false]);
  const { document } = await batchfitJson(['noise', '--from', log, '--small-batch', '2', '--big-batch', '16']);
  expect(document).toMatchObject({ enough: true, samples: 60 });
  expect(document.gradientSqNorm / 36).toBeCloseTo(1, 1);
  expect(document.noiseScale.low).toBeLessThan(1 / 9);
  expect(document.noiseScale.high).toBeGreaterThan(1 / 9);
});
