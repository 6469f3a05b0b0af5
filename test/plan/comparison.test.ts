import { beforeAll, describe, expect, it } from 'vitest';
import { parsePrices } from '../../src/commands/input/prices.js';
import { resolveTarget } from '../../src/machine/target.js';
import { readModel } from '../../src/model/open.js';
import { compareDevices, sortRows } from '../../src/plan/comparison.js';
import { DEFAULT_SETUP, type Setup } from '../../src/setup.js';

const NAMES = ['h100-80gb', 't4', 'a100-40gb', 'l4'];

async function compare(name: string, changes: Partial<Setup>, batch: number | 'auto', devices = NAMES) {
  const model = await readModel(name, {});
  const targets = await Promise.all(devices.map(async (device) => ({ device, target: await resolveTarget({ device }) })));
  const setup = { ...DEFAULT_SETUP, precision: 'amp-fp16' as const, ...changes };
  return compareDevices({ model, setup, batch, targets, datasetSize: 1281167, prices: new Map([['t4', 0.5]]) });
}

describe('compareDevices', () => {
  let auto: Awaited<ReturnType<typeof compare>>;
  beforeAll(async () => {
    auto = await compare('resnet50', {}, 'auto');
  });
  const row = (device: string) => auto.rows.find((each) => each.device === device)!;

  it('keeps the order given', () => {
    expect(auto.rows.map(({ device }) => device)).toEqual(NAMES);
    expect(sortRows(auto.rows, 'name').map(({ device }) => device)).toEqual(['a100-40gb', 'h100-80gb', 'l4', 't4']);
    expect(sortRows(auto.rows, 'throughput')[0]!.device).toBe('h100-80gb');
    expect(sortRows(auto.rows, 'cost')[0]!.device).toBe('t4');
  });
  it('is at the largest batch that fits', () => {
    for (const { fits, batch, maxBatch } of auto.rows) expect({ fits, batch }).toEqual({ fits: true, batch: maxBatch });
    expect(row('h100-80gb').maxBatch).toBeGreaterThan(row('a100-40gb').maxBatch);
  });
  it('says what an epoch takes, and costs where a price is given', () => {
    const { batch, stepSeconds, samplesPerSecond, secondsPerEpoch, costPerEpoch } = row('t4');
    expect(samplesPerSecond).toBeCloseTo(batch! / stepSeconds!);
    expect(secondsPerEpoch).toBeCloseTo(1281167 / samplesPerSecond!);
    expect(costPerEpoch).toBeCloseTo((0.5 * secondsPerEpoch!) / 3600);
    expect(row('l4').costPerEpoch).toBeNull();
  });
  it('ranks devices as ResNet-50 runs on them, none above its peak', () => {
    const speed = (device: string): number => row(device).samplesPerSecond!;
    expect(speed('h100-80gb')).toBeGreaterThan(speed('a100-40gb'));
    expect(speed('a100-40gb')).toBeGreaterThan(speed('l4'));
    for (const { mfu } of auto.rows) expect(mfu).toBeLessThan(0.7);
  });
  it('takes the batch that is asked for, and says where it does not fit', async () => {
    const { rows } = await compare('resnet50', {}, 700, ['t4', 'h100-80gb']);
    expect(rows[0]).toMatchObject({ fits: false, batch: null, stepSeconds: null, limitedBy: 'memory' });
    expect(rows[1]).toMatchObject({ fits: true, batch: 700 });
  });
  it('fills whole tiles where a compiler pads to them, and says so where the batch does not', async () => {
    const { rows } = await compare('resnet50', { precision: 'amp-bf16' }, 'auto', ['tpu-v4']);
    expect(rows[0]!.batch! % 16).toBe(0);
    expect(rows[0]!.maxBatch - rows[0]!.batch!).toBeLessThan(16);
    for (const [precision, filled] of [
      ['amp-bf16', 32],
      ['fp32', 24],
    ] as const) {
      const { warnings } = await compare('resnet50', { precision }, 17, ['tpu-v4', 'a100-40gb']);
      expect(warnings).toMatchObject([
        { code: 'PADDED_BATCH', message: expect.stringContaining(`tpu-v4: a batch of 17 takes as long as ${filled}`) },
      ]);
    }
  });
  it('is limited by launches at a batch of one', async () => {
    const { rows } = await compare('resnet50', {}, 1, ['h100-80gb']);
    expect(rows[0]).toMatchObject({ fits: true, limitedBy: 'launch', source: 'estimated' });
  });
  it('is limited by the network where gradients are large and steps are short', async () => {
    const { rows } = await compare('vgg16', { gpus: 8, optimizer: 'sgd' }, 1, ['rtx-4090']);
    expect(rows[0]).toMatchObject({ limitedBy: 'communication' });
  });
  it('counts forward and backward as PyTorch does', () => {
    // three times 4.09 billion multiplications and additions, less the gradient of the images
    expect(auto.flopsPerSample! / 1e9).toBeCloseTo(24.3, 0);
    expect(auto.parameters).toBe(25557032);
  });
});

describe('parsePrices', () => {
  it('reads prices by device', () => {
    expect([...parsePrices('t4=0.35, l4=.7', ['t4', 'l4'])]).toEqual([
      ['t4', 0.35],
      ['l4', 0.7],
    ]);
    expect(parsePrices(undefined, ['t4']).size).toBe(0);
  });
  it.each(['t4', 't4=', '=1', 't4=1=2'])('refuses "%s"', (text) => {
    expect(() => parsePrices(text, ['t4'])).toThrow('expected DEVICE=PRICE');
  });
  it('refuses a device that is not compared, and a price that is none', () => {
    expect(() => parsePrices('l4=1', ['t4'])).toThrow('not among the devices');
    expect(() => parsePrices('t4=cheap', ['t4'])).toThrow('--price');
  });
});
