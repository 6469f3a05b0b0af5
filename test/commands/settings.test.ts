import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { type FlagShape, settingsAsFlags } from '../../src/commands/input/settings.js';

const flags: Record<string, FlagShape> = {
  json: { type: 'boolean' },
  quiet: { type: 'boolean', char: 'q' },
  color: { type: 'boolean', allowNo: true },
  batch: { type: 'option' },
  output: { type: 'option', char: 'o' },
  'lora-targets': { type: 'option' },
  require: { type: 'option', multiple: true },
};
const commands = [
  { id: 'check', flags },
  { id: 'probe', flags: { steps: { type: 'option' as const } } },
];

const home = process.cwd();
const folder = mkdtempSync(join(tmpdir(), 'batchfit-settings-'));
afterEach(() => {
  process.chdir(home);
  vi.unstubAllEnvs();
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The words that batchfit.yaml, variables and the command line's own words give the parser. */
async function words(config: string, argv: string[] = [], variables: Record<string, string> = {}): Promise<string[]> {
  writeFileSync(join(folder, 'batchfit.yaml'), config);
  process.chdir(folder);
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
  return [...(await settingsAsFlags({ id: 'check', flags, commands, argv })).values()].flatMap((setting) => setting.words);
}

describe('settingsAsFlags', () => {
  it('turns every kind of value into words', async () => {
    const config = 'json: true\nquiet: false\ncolor: false\nbatch: 8\nlora-targets: [q, v]\nrequire: [fits, "gpu.count>=1"]\n';
    expect(await words(config)).toEqual([
      '--json',
      '--no-color',
      '--batch=8',
      '--lora-targets=q,v',
      '--require=fits',
      '--require=gpu.count>=1',
    ]);
  });

  it('lets a command’s section win over the top level, and variables over both', async () => {
    const config = 'batch: 1\ncheck:\n  batch: 2\nprobe:\n  steps: 9\n';
    expect(await words(config)).toEqual(['--batch=2']);
    expect(await words(config, [], { BATCHFIT_BATCH: '3' })).toEqual(['--batch=3']);
    expect(await words(config, [], { BATCHFIT_BATCH: '' })).toEqual(['--batch=2']);
  });

  it.each([[['--batch=5']], [['--batch', '5']], [['plan.json', '-q', '--batch', '--json']]])(
    'leaves to the command line what it gives: %j',
    async (argv) => {
      expect(await words('batch: 1', argv)).toEqual([]);
    },
  );

  it('does not take words or values for flags', async () => {
    expect(await words('batch: 1\njson: true', ['plan.json', '-o', '--batch', '-'])).toEqual(['--batch=1', '--json']);
    expect(await words('color: true', ['--no-color'])).toEqual([]);
    expect(await words('output: a', ['-ofile'])).toEqual([]);
  });

  it('accepts another command’s flag at the top level, and only its own in a section', async () => {
    expect(await words('steps: 5')).toEqual([]);
    await expect(words('check: {steps: 5}')).rejects.toThrow('batchfit.yaml: check.steps: expected the name of a flag');
    await expect(words('probe: {batch: 5}')).rejects.toThrow('batchfit.yaml: probe.batch: expected the name of a flag');
    await expect(words('stepz: 5')).rejects.toMatchObject({ exitCode: 2, hint: 'did you mean steps?' });
  });

  it('names the variable or key of a value that cannot be used', async () => {
    await expect(words('json: maybe')).rejects.toThrow('batchfit.yaml: json: expected true or false, found "maybe"');
    await expect(words('', [], { BATCHFIT_JSON: 'yes' })).rejects.toThrow('BATCHFIT_JSON: expected true or false, found "yes"');
  });
});
