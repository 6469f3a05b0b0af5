import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { batchfit, batchfitJson, PROGRAM, ROOT } from './run.js';

const folder = mkdtempSync(join(tmpdir(), 'batchfit-output-'));
afterAll(() => rmSync(folder, { recursive: true }));

const ESTIMATE = ['estimate', 'digits-mlp', '--batch', '4', '--device', 't4'];
const { version } = JSON.parse(readFileSync(`${ROOT}/package.json`, 'utf8'));

describe('output', () => {
  it('is one document with --json', async () => {
    const { document, exitCode, stderr } = await batchfitJson(ESTIMATE);
    expect(document).toMatchObject({ schema: 'batchfit/estimate@1', version });
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  });

  it('is text for people without it, and --output writes the same document beside', async () => {
    const path = join(folder, 'estimate.json');
    const { stdout, exitCode } = await batchfit([...ESTIMATE, '--output', path]);
    expect(exitCode).toBe(0);
    expect(stdout).toBe((await batchfit(ESTIMATE)).stdout);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual((await batchfitJson(ESTIMATE)).document);
  });

  it.each([
    [['--no-color'], {}],
    [[], { NO_COLOR: '1' }],
    [[], {}],
  ])('has no colours in a pipe: %j %j', async (flags, env) => {
    for (const args of [ESTIMATE, ['--help'], ['estimate', '--help'], ['estimate', 'nothing']]) {
      const { stdout, stderr } = await batchfit([...args, ...flags], { env });
      expect(stdout + stderr).not.toContain('\u001b');
      expect(stdout + stderr).not.toContain('Warning:');
    }
  });

  it('ends quietly when its reader leaves', () => {
    const { stderr, status } = spawnSync('sh', ['-c', `"${process.execPath}" "${PROGRAM}" ${ESTIMATE.join(' ')} --json | head -c 1`], {
      encoding: 'utf8',
    });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  });

  it('says so when the disk is full', () => {
    const { stderr, status } = spawnSync('sh', ['-c', `"${process.execPath}" "${PROGRAM}" ${ESTIMATE.join(' ')} > /dev/full`], {
      encoding: 'utf8',
    });
    expect(stderr).toMatch(/^error: standard output: could not write: ENOSPC\n/);
    expect(status).toBe(2);
  });

  it('prints the version and, without a command, what there is', async () => {
    expect((await batchfit(['--version'])).stdout).toContain(`batchfit/${version}`);
    const help = await batchfit([]);
    expect(help).toMatchObject({ exitCode: 0, stderr: '' });
    expect(help.stdout).toMatch(/COMMANDS[\s\S]*doctor[\s\S]*estimate/);
    const named = await batchfit(['help', 'estimate']);
    expect(named).toEqual(await batchfit(['estimate', '--help']));
  });
});
