import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { batchfitJson, ROOT } from './run.js';

const MB = 1e6;
const folder = mkdtempSync(join(tmpdir(), 'batchfit-install-'));
afterAll(() => rmSync(folder, { recursive: true }));

function run(command: string, args: string[], cwd: string): string {
  const { stdout, stderr, status } = spawnSync(command, args, { cwd, encoding: 'utf8', env: { ...process.env, NODE_ENV: 'production' } });
  expect(status, `${command} ${args.join(' ')}: ${stderr}`).toBe(0);
  return stdout;
}

/** What the files of a tree take on disk, in whole blocks, as du counts it. */
function diskBytes(path: string): number {
  const own = lstatSync(path).blocks * 512;
  if (!lstatSync(path).isDirectory()) return own;
  return readdirSync(path).reduce((total, name) => total + diskBytes(join(path, name)), own);
}

/** The package as a user gets it: packed, then installed into a project of its own. */
describe('a plain install', () => {
  const modules = join(folder, 'node_modules');
  const program = join(modules, '.bin', 'batchfit');

  beforeAll(() => {
    const [{ filename }] = JSON.parse(run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], ROOT));
    writeFileSync(join(folder, 'package.json'), '{"private":true}');
    run('npm', ['install', '--no-audit', '--no-fund', join(folder, filename)], folder);
  });

  it('stays under 40 MB and brings no engine', () => {
    expect(diskBytes(modules)).toBeLessThan(40 * MB);
    expect(existsSync(join(modules, '@tensorflow'))).toBe(false);
  });

  it('answers as the checkout does', async () => {
    const args = ['estimate', 'digits-cnn', '--batch', '4', '--device', 't4'];
    expect(JSON.parse(run(program, [...args, '--json'], folder))).toEqual((await batchfitJson(args)).document);
  });

  it('has the programs of the engines’ children and the schemas', () => {
    const own = join(modules, 'batchfit');
    expect(readdirSync(join(own, 'dist/probe/engines/torch')).filter((name) => name.endsWith('.py'))).not.toEqual([]);
    expect(readdirSync(join(own, 'schemas'))).toContain('estimate.json');
  });
});
