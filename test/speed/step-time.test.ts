import { describe, expect, it } from 'vitest';
import { DEFAULT_SETUP } from '../../src/setup.js';
import type { Coefficients } from '../../src/speed/coefficients.js';
import { communicationSeconds } from '../../src/speed/communication.js';
import { COEFFICIENTS } from '../../src/speed/constants.js';
import { kernelTime, type Work } from '../../src/speed/kernel-time.js';
import { optimizerWork } from '../../src/speed/optimizers.js';
import type { Rates } from '../../src/speed/rates.js';

const RATES: Rates = {
  known: true,
  matrix: () => 100e12,
  vector: 20e12,
  bytesPerSecond: 1e12,
  watts: 300,
  linkBytesPerSecond: 100e9,
  multiprocessors: 100,
  launches: true,
  tile: null,
};
const PRODUCT: Work = {
  class: 'matmul',
  operations: 2 * 4096 ** 3,
  bytes: 3 * 2 * 4096 ** 2,
  rows: 4096,
  columns: 4096,
  inner: 4096,
  width: 1,
  row: 1,
  half: true,
  planar: false,
  misaligned: false,
};

describe('coefficients', () => {
  it('are above zero', () => {
    for (const [name, value] of Object.entries(COEFFICIENTS)) expect(value, name).toBeGreaterThan(0);
  });
  it('let no product run faster than the peak, and no tensor move faster than the memory', () => {
    const { compute } = kernelTime(PRODUCT, 100e12, RATES, COEFFICIENTS);
    expect(compute).toBeGreaterThan(PRODUCT.operations / 100e12);
    const elementwise = { ...PRODUCT, class: 'batchNorm' as const, operations: 0, columns: 0, inner: 0 };
    const { compute: none, memory } = kernelTime(elementwise, 100e12, RATES, COEFFICIENTS);
    expect(none).toBe(0);
    expect(memory).toBeGreaterThan(PRODUCT.bytes / 1e12);
    for (const [name, value] of Object.entries(COEFFICIENTS))
      if (/(Compute|Memory)$/.test(name)) expect(value, name).toBeGreaterThanOrEqual(1);
  });
});

describe('kernelTime', () => {
  const c: Coefficients = { ...COEFFICIENTS, kernelSeconds: 0 };
  it('grows with what there is to do', () => {
    const twice = { ...PRODUCT, operations: 2 * PRODUCT.operations, bytes: 2 * PRODUCT.bytes };
    expect(kernelTime(twice, 100e12, RATES, c).total).toBeCloseTo(2 * kernelTime(PRODUCT, 100e12, RATES, c).total, 12);
  });
  it('does narrow products at a lower rate', () => {
    const narrow = { ...PRODUCT, columns: 16 };
    expect(kernelTime(narrow, 100e12, RATES, c).compute).toBeGreaterThan(1.2 * kernelTime(PRODUCT, 100e12, RATES, c).compute);
  });
  it('loses the start of each tile, the more the faster the device multiplies', () => {
    const lost = (inner: number, rate: number): number => {
      const product = { ...PRODUCT, inner, operations: 2 * 4096 * 4096 * inner };
      return kernelTime(product, rate, { ...RATES, watts: null }, c).compute / (product.operations / rate);
    };
    expect(lost(64, 100e12)).toBeGreaterThan(lost(4096, 100e12));
    expect(lost(64, 1000e12) - lost(4096, 1000e12)).toBeGreaterThan(5 * (lost(64, 100e12) - lost(4096, 100e12)));
  });
  it('loses a part of the last wave of tiles', () => {
    const perRow = (rows: number): number => kernelTime({ ...PRODUCT, rows, operations: rows * 1e6 }, 100e12, RATES, c).compute / rows;
    expect(perRow(128 * 8)).toBeGreaterThan(1.1 * perRow(128 * 800));
  });
  it('normalizes short rows at a lower rate', () => {
    const norm = { ...PRODUCT, class: 'layerNorm' as const, operations: 0, columns: 0, inner: 0 };
    const [short, long] = [24, 1024].map((row) => kernelTime({ ...norm, row }, 100e12, RATES, c).memory);
    expect(short! / long!).toBeCloseTo((1 + c.narrowNorm / 24) / (1 + c.narrowNorm / 1024));
  });
  it('keeps to what the power of the board sustains', () => {
    const [cool, hot] = [1000, 50].map((watts) => kernelTime(PRODUCT, 100e12, { ...RATES, watts }, c).compute);
    expect(hot! / cool!).toBeCloseTo(100e12 / (50 * c.sustainedFlopsPerWatt), 0);
  });
  it('pads to the tiles of a compiler', () => {
    const tiled = { ...RATES, tile: [8, 128] as [number, number] };
    const uneven = { ...PRODUCT, columns: 129 };
    const [padded, plain] = [tiled, RATES].map((rates) => kernelTime(uneven, 100e12, rates, c).compute);
    expect(padded! / plain!).toBeCloseTo(256 / 129);
    for (const [half, rows] of [
      [true, 32],
      [false, 24],
    ] as const) {
      const few = { ...PRODUCT, half, rows: 17, operations: 2 * 17 * 4096 ** 2 };
      const [filled, loose] = [tiled, RATES].map((rates) => kernelTime(few, 100e12, rates, c).compute);
      expect(filled! / loose!).toBeCloseTo(rows / 17);
    }
  });
});

describe('communicationSeconds', () => {
  const bytes = { trainedBytes: 1e9, parameterBytes: 1e9 };
  it('is nothing on one device', () => {
    expect(communicationSeconds(DEFAULT_SETUP, bytes, RATES)).toBe(0);
  });
  it('passes every gradient twice around a ring', () => {
    const seconds = communicationSeconds({ ...DEFAULT_SETUP, gpus: 8 }, bytes, RATES);
    expect(seconds).toBeCloseTo((2 * 1e9 * 7) / 8 / (100e9 * 0.8));
  });
  it('gathers sharded weights twice and scatters gradients once', () => {
    const ddp = communicationSeconds({ ...DEFAULT_SETUP, gpus: 8 }, bytes, RATES);
    const fsdp = communicationSeconds({ ...DEFAULT_SETUP, gpus: 8, sharding: 'fsdp' }, bytes, RATES);
    expect(fsdp / ddp).toBeCloseTo(1.5);
  });
});

describe('optimizerWork', () => {
  const trained = { tensors: 96, bytes: 1e9 };
  it('reads and writes weight, gradient and state once when fused', () => {
    const setup = { ...DEFAULT_SETUP, optimizerImplementation: 'fused' as const };
    expect(optimizerWork(setup, trained)).toEqual({ bytes: 7e9, launches: 2 });
    expect(optimizerWork({ ...setup, optimizer: 'momentum' }, trained).bytes).toBe(5e9);
  });
  it('launches every operation for every tensor when asked to', () => {
    const setup = { ...DEFAULT_SETUP, optimizer: 'momentum' as const, optimizerImplementation: 'single' as const };
    expect(optimizerWork(setup, trained).launches).toBe(3 * 96);
  });
  it('reads gradients once more to clip them', () => {
    const [plain, clipped] = [null, 1].map((clipGradNorm) => optimizerWork({ ...DEFAULT_SETUP, clipGradNorm }, trained).bytes);
    expect(clipped! - plain!).toBe(3e9);
  });
});
