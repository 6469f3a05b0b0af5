/** Runs trained on the spot by three programs, and what `diagnose` says of the logs that they wrote by themselves. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { pythonOfEnvironment } from '../../src/probe/engines/torch/python.js';
import { pythonWithTorch } from '../probe/tfjs/python.js';
import { batchfitJson, ROOT } from './run.js';

const SCRIPTS = join(ROOT, 'scripts', 'logs');
const folder = mkdtempSync(join(tmpdir(), 'batchfit-diagnose-'));
const python = pythonOfEnvironment(join(folder, 'venv'));
const logs = join(folder, 'logs');
afterAll(() => rmSync(folder, { recursive: true }));

const env = { ...process.env, OMP_NUM_THREADS: '1', PYTHONDONTWRITEBYTECODE: '1', TF_CPP_MIN_LOG_LEVEL: '3' };
const run = (program: string, args: string[]) => execFileSync(program, args, { env, encoding: 'utf8', stdio: 'pipe' }).trim();

/** The pinned releases of Hugging Face's Trainer, Lightning and Keras beside the PyTorch that is there already. */
beforeAll(() => {
  const where = 'import sysconfig; print(sysconfig.get_path("purelib"))';
  run('python3', ['-m', 'venv', join(folder, 'venv')]);
  appendFileSync(join(run(python, ['-c', where]), 'torch.pth'), `${run(pythonWithTorch(), ['-c', where])}\n`);
  run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', join(SCRIPTS, 'requirements.txt')]);
  run(python, [join(SCRIPTS, 'train.py'), join(ROOT, 'test', 'fixtures', 'noise', 'digits.npz'), logs]);
}, 1_800_000);

it.each([
  ['hf-trainer', 'healthy', ''],
  ['hf-trainer', 'overfitting', ''],
  ['hf-trainer', 'too-short', ''],
  ['hf-trainer', 'diverging', ''],
  ['lightning', 'healthy', ''],
  ['lightning', 'overfitting', ''],
  ['lightning', 'periodic', ''],
  ['keras', 'healthy', '.csv'],
  ['keras', 'overfitting', '.csv'],
  ['keras', 'too-short', '.csv'],
])('a run of %s that is made to be %s', async (program, kind, ending) => {
  const { document, exitCode } = await batchfitJson(['diagnose', join(logs, `${program}-${kind}${ending}`)]);
  expect([exitCode, document.verdict, document.log.format]).toEqual([0, kind, program]);
  expect(document.findings[0].evidence.length).toBeGreaterThan(0);
});

it('the log is the one that the program wrote', () => {
  const state = JSON.parse(readFileSync(join(logs, 'hf-trainer-healthy', 'trainer_state.json'), 'utf8'));
  expect([state.global_step, state.log_history.length > 20]).toEqual([15 * 41, true]);
  expect(existsSync(join(logs, 'lightning-healthy', 'metrics.csv'))).toBe(true);
});
