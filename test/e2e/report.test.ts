import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { batchfitJson, ROOT } from './run.js';

const folder = mkdtempSync(join(tmpdir(), 'batchfit-report-'));
afterAll(() => rmSync(folder, { recursive: true }));
const saved = join(folder, 'plan.json');
const page = join(folder, 'plan.html');
const where = ['--device', 'rtx-3090', '--optimizer', 'momentum', '--dataset-size', '1281167'];

it('writes one page without scripts or anything from elsewhere', async () => {
  const { document: plan } = await batchfitJson([
    'plan',
    'resnet50',
    ...where,
    '--target-batch',
    '1024',
    '--reference-batch',
    '256',
    '--reference-lr',
    '0.1',
    '--save',
    saved,
  ]);
  const { document, exitCode } = await batchfitJson(['report', saved, '-o', page]);
  expect([exitCode, document.path, document.title]).toEqual([0, page, 'resnet50 on rtx-3090']);
  const html = readFileSync(page, 'utf8');
  expect(Buffer.byteLength(html)).toBe(document.bytes);
  expect(html).not.toMatch(/<script|<link|<img|@import|url\(|https?:\/\//);
  expect(html).toMatch(/prefers-color-scheme: dark/);
  expect(html).toMatch(/<html lang="en">/);
  expect(html).toContain(`${plan.batch.micro} x accumulation ${plan.batch.accumulation}`);
  for (const { message } of plan.warnings) expect(html).toContain(message.slice(0, 30));
  for (const name of ['activations', 'optimizer state', 'fragmentation']) expect(html).toContain(name);
  expect(html.match(/<tr class="chosen">/g)).toHaveLength(1);
  expect(html.match(/<svg [^>]*role="img" aria-label="[^"]{20,}/g)!.length).toBeGreaterThanOrEqual(2);
  expect(html).not.toMatch(/NaN|undefined|null/);
});

it('a plan that does not fit has a page too', async () => {
  await batchfitJson(['plan', 'gpt2', '--device', 't4', '--memory', '1GiB', '--save', saved]);
  expect((await batchfitJson(['report', saved, '-o', page])).exitCode).toBe(0);
  expect(readFileSync(page, 'utf8')).toContain('It does not fit');
});

it('text from a plan is no markup', async () => {
  const { document } = await batchfitJson(['plan', 'digits-mlp', '--device', 'cpu', '--target-batch', '32', '--save', saved]);
  writeFileSync(saved, JSON.stringify({ ...document, model: { ...document.model, name: '<script>alert(1)</script>' } }));
  await batchfitJson(['report', saved, '-o', page]);
  expect(readFileSync(page, 'utf8')).not.toContain('<script');
});

it.each([
  [['report', 'nope.json'], 'BAD_PLAN'],
  [['report', join(ROOT, 'package.json')], 'BAD_PLAN'],
  [['report', saved, '-o', join(folder, 'no', 'where.html')], 'BAD_OUTPUT'],
])('%j is bad usage: %s', async (args, code) => {
  const { document, exitCode } = await batchfitJson(args);
  expect([exitCode, document.error.code]).toEqual([2, code]);
});
