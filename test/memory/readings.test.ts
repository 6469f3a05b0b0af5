import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { resolveTarget } from '../../src/machine/target.js';
import { Estimator, type Stack } from '../../src/memory/estimate.js';
import { readModel } from '../../src/model/open.js';
import { DEFAULT_SETUP, type Setup } from '../../src/setup.js';

/** What somebody read off a real card; fixtures/README.md says who. */
interface Reading {
  source: 'xmem' | 'gpumemnet' | 'timm';
  id: string;
  model: { reference?: string; config?: object; options?: object };
  setup: Partial<Setup>;
  device: string;
  stack?: Partial<Stack>;
  counter: 'reservedBytes' | 'deviceBytes' | 'call' | 'bracket';
  actual: unknown;
}

const READINGS = JSON.parse(readFileSync(new URL('./fixtures/readings.json', import.meta.url), 'utf8')) as Reading[];
const LADDER = [512, 384, 256, 192, 128, 96, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1];
const folder = mkdtempSync(join(tmpdir(), 'batchfit-readings-'));

async function estimatorOf({ model, setup, device, stack }: Reading): Promise<Estimator> {
  if (model.config) writeFileSync(join(folder, 'config.json'), JSON.stringify(model.config));
  const graph = await readModel(model.reference ?? join(folder, 'config.json'), model.options);
  return new Estimator(graph, { ...DEFAULT_SETUP, ...setup }, await resolveTarget({ device }), undefined, stack);
}

const rows = (counter: Reading['counter']) => READINGS.filter((each) => each.counter === counter);

describe('readings of real cards', { timeout: 120_000 }, () => {
  it.each(rows('reservedBytes'))('$id: what NVML read over the context', async (reading) => {
    const { peak } = (await estimatorOf(reading)).memory(reading.setup.batch as number);
    const error = peak.reservedBytes / (reading.actual as number) - 1;
    expect(Math.abs(error)).toBeLessThan(0.05);
    expect(reading.actual as number).toBeLessThan(peak.reservedBytes + peak.deviceBytes.high - peak.deviceBytes.best);
  });

  it.each(rows('call'))('$id: ran out of memory', async (reading) => {
    expect((await estimatorOf(reading)).fits(reading.setup.batch as number, 'best')).toBe(false);
  });

  it.each(rows('deviceBytes'))('$id: what nvidia-smi read on an A100', async (reading) => {
    const { peak } = (await estimatorOf(reading)).memory(reading.setup.batch as number);
    expect(Math.abs(peak.deviceBytes.best / (reading.actual as number) - 1)).toBeLessThan(0.1);
    expect(reading.actual as number).toBeLessThan(peak.deviceBytes.high);
  });

  it.each(rows('bracket'))('$id: the largest batch of a ladder on an RTX 3090', async (reading) => {
    const { fits } = reading.actual as { fits: number };
    const largest = (await estimatorOf(reading)).largest('best');
    const rung = (batch: number): number => LADDER.findIndex((each) => each <= batch);
    expect(Math.abs(rung(largest) - rung(fits))).toBeLessThanOrEqual(1);
  });
});
