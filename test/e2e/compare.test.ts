import { expect, it } from 'vitest';
import { batchfit, batchfitJson } from './run.js';

const DEVICES = ['t4', 'l4', 'a100-40gb', 'h100-80gb'];
const COMPARE = ['compare', 'resnet50', '--device', DEVICES.join(','), '--precision', 'amp-fp16', '--dataset-size', '1281167'];

it('compares devices in the order given, with time and cost of an epoch', async () => {
  const { document, exitCode } = await batchfitJson([...COMPARE, '--price', 't4=0.35,l4=0.70']);
  expect(exitCode).toBe(0);
  expect(document.schema).toBe('batchfit/compare@1');
  expect(document.rows.map((row: { device: string }) => row.device)).toEqual(DEVICES);
  for (const row of document.rows) {
    expect(row).toMatchObject({ fits: true, batch: row.maxBatch, source: 'estimated' });
    expect(row.secondsPerEpoch).toBeCloseTo(1281167 / row.samplesPerSecond, 3);
    expect(row.costPerEpoch === null).toBe(!['t4', 'l4'].includes(row.device));
  }
});

it('sorts when asked to', async () => {
  const { document } = await batchfitJson([...COMPARE, '--sort', 'throughput']);
  const speeds = document.rows.map((row: { samplesPerSecond: number }) => row.samplesPerSecond);
  expect(speeds).toEqual([...speeds].sort((a, b) => b - a));
});

it('shows a table and bars', async () => {
  const { stdout, exitCode } = await batchfit(COMPARE);
  expect(exitCode).toBe(0);
  for (const device of DEVICES) expect(stdout).toMatch(new RegExp(`^${device} +#+ [\\d,.]+$`, 'm'));
  expect(stdout).toContain('limited by');
});

it('answers no where nothing fits', async () => {
  const { document, exitCode } = await batchfitJson(['compare', 'vgg16', '--device', 't4,rtx-3060', '--batch', '100000']);
  expect(exitCode).toBe(1);
  for (const row of document.rows) expect(row).toMatchObject({ fits: false, batch: null, limitedBy: 'memory' });
});

it.each([
  [['--price', 't4'], 'BAD_PRICE'],
  [['--price', 'v100=1'], 'BAD_PRICE'],
  [['--device', 't4,no-such-card'], 'BAD_USAGE'],
])('refuses %j', async (flags, code) => {
  const { document, exitCode } = await batchfitJson(['compare', 'digits-mlp', '--device', 't4,l4', ...flags]);
  expect(exitCode).toBe(2);
  expect(document.error.code).toBe(code);
});

it('takes the memory of a device that has none of its own', async () => {
  const { document, exitCode } = await batchfitJson([
    'compare',
    'digits-mlp',
    '--device',
    't4,apple-m4=16GiB,apple-m4-max=64GiB',
    '--price',
    'apple-m4=1',
  ]);
  expect(exitCode).toBe(0);
  expect(document.rows.map((row: { device: string }) => row.device)).toEqual(['t4', 'apple-m4', 'apple-m4-max']);
  for (const row of document.rows) expect(row).toMatchObject({ fits: true, source: 'estimated' });
});

it.each([
  ['t4,apple-m4', 'DEVICE_NEEDS_MEMORY', '--device apple-m4=32GiB'],
  ['t4,apple-m4=', 'BAD_DEVICE', 'apple-m4-max=64GiB'],
  ['apple-m4=lots', 'BAD_BYTES', '24GiB'],
])('refuses --device %s', async (devices, code, hint) => {
  const { document, exitCode } = await batchfitJson(['compare', 'digits-mlp', '--device', devices]);
  expect(exitCode).toBe(2);
  expect(document.error.code).toBe(code);
  expect(document.error.hint).toContain(hint);
});
