import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { batchfit, batchfitJson, type RunOptions } from './run.js';

const folder = mkdtempSync(join(tmpdir(), 'batchfit-errors-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Buffer): string {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

/** One clear message, the same in text and in JSON, the same exit code, never a stack. */
async function expectRefusal(args: string[], exitCode: number, message: RegExp, options: RunOptions = {}): Promise<void> {
  const text = await batchfit(args, options);
  const json = await batchfitJson(args, options);
  expect(text).toMatchObject({ exitCode, stdout: '' });
  expect(json.exitCode).toBe(exitCode);
  expect(json.document).toMatchObject({ schema: 'batchfit/error@1', warnings: [] });
  expect(json.document.error.message).toMatch(message);
  expect(json.document.error.code).toMatch(/^[A-Z][A-Z_]+$/);
  expect(text.stderr).toBe(json.stderr);
  const { message: said, hint } = json.document.error;
  expect(text.stderr).toBe(`error: ${said}\n${hint === '' ? '' : `hint: ${hint}\n`}`);
  expect(text.stderr).not.toMatch(/^\s+at /m);
}

describe('a wrong command line', () => {
  it.each<[args: string[], message: RegExp]>([
    [['estimat', 'resnet50'], /^unknown command: estimat$/],
    [['--bogus'], /^unknown command: --bogus$/],
    [['estimate'], /^missing argument: MODEL$/],
    [['estimate', 'resnet50', 'extra'], /^unexpected argument: extra$/],
    [['estimate', 'resnet50', '--batchs', '3'], /^unknown flag: --batchs$/],
    [['estimate', 'resnet50', '--batch'], /^flag --batch expects a value$/i],
    [['compare', 'resnet50'], /^missing --device$/],
    [['tune', '--batches', '8..16', '--', 'true'], /^missing --reference-batch, --reference-lr$/],
    [['plan', 'resnet50', '--engine', 'torch'], /^--engine: needs --probe beside it$/],
    [['estimate', 'resnet50', '--lora-rank', '4'], /^--lora-rank: --method full has no adapters$/],
    [['check', '--require', 'fits', 'nowhere.json'], /^nowhere\.json: could not be read/],
    [['check', '--require', 'gpu.memory>=24'], /expected a size such as 24GiB, found "24"$/],
    [['estimate', 'resnet50', '--output', ''], /an empty name$/],
    [['estimate', 'resnet50', '--precision', 'fp9'], /^--precision: expected one of fp32, .*, found "fp9"$/],
    [['estimate', 'resnet50', '--batch', '0'], /^--batch: expected a whole number.*found "0"$/],
    [['estimate', 'resnet50', '--batch', '-1'], /^--batch: expected a whole number.*found "-1"$/],
    [['estimate', 'resnet50', '--batch', '1.5'], /^--batch: expected a whole number.*found "1\.5"$/],
    [['estimate', 'resnet50', '--batch', '1e99'], /^--batch: expected a whole number.*found "1e99"$/],
    [['estimate', 'resnet50', '--batch', 'abc'], /^--batch: expected a whole number.*found "abc"$/],
    [['estimate', 'resnet50', '--gpus', '0'], /^--gpus: expected a whole number.*found "0"$/],
    [['estimate', 'resnet50', '--gpus', '3', '--tensor-parallel', '2'], /^--tensor-parallel: expected a divisor of --gpus 3, found 2$/],
    [['estimate', 'resnet50', '--clip-grad-norm', '-1'], /^--clip-grad-norm: expected a number above 0, found "-1"$/],
    [['estimate', 'resnet50', '--image', '0x5'], /^--image: expected a size .* found "0x5"$/],
    [['estimate', 'resnet50', '--memory', 'lots'], /--memory: expected a size .* found "lots"/],
    [['estimate', 'resnet50', '--reserve', '120%'], /--reserve: expected .* found "120%"/],
    [['estimate', 'resnet50', '--output', join(folder, 'no', 'such.json')], /^--output: .*its folder does not exist$/],
  ])('%j is refused', (args, message) => expectRefusal(args, 2, message));
});

describe('a wrong model or device', () => {
  it.each<[what: string, args: () => string[], message: RegExp]>([
    ['an unknown name', () => ['estimate', 'resnet5O'], /resnet5O/],
    ['an unknown device', () => ['estimate', 'resnet50', '--device', 'rtx-9999'], /rtx-9999/],
    ['an empty file', () => ['estimate', file('empty.yaml', '')], /empty\.yaml/],
    ['a binary file', () => ['estimate', file('binary.yaml', Buffer.from([0, 255, 1, 254, 0, 7]))], /binary\.yaml/],
    ['a wrong field', () => ['estimate', file('field.yaml', 'name: x\nlayerz: []\n')], /field\.yaml.*layerz/s],
    ['a folder without a config', () => ['estimate', folder], /config\.json/],
    ['a missing file', () => ['estimate', join(folder, 'nowhere.yaml')], /nowhere\.yaml/],
  ])('%s is refused', (_what, args, message) => expectRefusal([...args(), '--batch', '1'], 2, message));
});

describe('what stands below the flags', () => {
  const inFolder = (config: string): RunOptions => {
    file('batchfit.yaml', config);
    return { cwd: folder };
  };

  it.each<[config: string, message: RegExp]>([
    ['precisoin: fp16', /^batchfit\.yaml: precisoin: expected the name of a flag/],
    ['estimate: {bacth: 3}', /^batchfit\.yaml: estimate\.bacth: expected the name of a flag/],
    ['precision: fp9', /^batchfit\.yaml: precision: expected one of .* found "fp9"$/],
    ['estimate: {batch: 0}', /^batchfit\.yaml: estimate\.batch: expected a whole number/],
    ['precision: {a: 1}', /^batchfit\.yaml: precision: expected text or a number/],
    ['estimate: 3', /^batchfit\.yaml: estimate: expected flags and their values/],
    ['quiet: maybe', /^batchfit\.yaml: quiet: expected true or false/],
    ['- a', /^batchfit\.yaml: expected flags and their values$/],
    ['a: [', /^batchfit\.yaml: not valid YAML/],
  ])('batchfit.yaml with "%s" is refused', (config, message) => expectRefusal(['estimate', 'digits-mlp'], 2, message, inFolder(config)));

  it('a variable that cannot be used is named', () =>
    expectRefusal(['estimate', 'digits-mlp'], 2, /^BATCHFIT_PRECISION: expected one of/, { env: { BATCHFIT_PRECISION: 'fp9' } }));

  it('flags win over variables, variables over the file, and its section over its top level', async () => {
    const options = inFolder('batch: 2\noptimizer: sgd\nprecision: bf16\nestimate: {batch: 4, precision: fp16}\ndoctor: {quiet: true}\n');
    const env = { BATCHFIT_BATCH: '8', BATCHFIT_KEEP_OUTPUTS: 'true' };
    const setup = async (args: string[], more: RunOptions) =>
      (await batchfitJson(['estimate', 'digits-mlp', ...args], { ...options, ...more })).document.setup;
    expect(await setup([], {})).toMatchObject({ batch: 4, optimizer: 'sgd', precision: 'fp16', keepOutputs: false });
    expect(await setup([], { env })).toMatchObject({ batch: 8, keepOutputs: true });
    expect(await setup(['--batch=16'], { env })).toMatchObject({ batch: 16 });
  });
});
