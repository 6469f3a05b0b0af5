import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveTarget } from '../../src/machine/target.js';
import { estimateMemory } from '../../src/memory/estimate.js';
import { readModel } from '../../src/model/open.js';
import type { TrialResult } from '../../src/probe/engine.js';
import { contextsOf, recallContext, rememberContexts } from '../../src/probe/learned.js';
import { DEFAULT_SETUP } from '../../src/setup.js';
import { GIB, MIB } from '../../src/units.js';

const trial = (contextBytes: number, changes: Partial<TrialResult> = {}): TrialResult => ({
  batch: 8,
  outcome: 'fits',
  evidence: 'every step ran',
  peakBytes: 900 * MIB,
  reservedBytes: GIB,
  deviceBytes: GIB + contextBytes,
  processPeakBytes: null,
  stepSeconds: [],
  samplesPerSecond: null,
  device: { kind: 'cuda', name: 'NVIDIA GeForce RTX 3060', backend: 'CUDA 12.4', totalBytes: 12 * GIB },
  seconds: 1,
  warnings: [],
  ...changes,
});

describe('what a probe learns of a device', () => {
  const before = { data: process.env.XDG_DATA_HOME, use: process.env.BATCHFIT_CALIBRATION };
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'batchfit-learned-'));
    process.env.XDG_DATA_HOME = folder;
    delete process.env.BATCHFIT_CALIBRATION;
  });
  afterEach(() => {
    for (const [name, value] of [
      ['XDG_DATA_HOME', before.data],
      ['BATCHFIT_CALIBRATION', before.use],
    ] as const) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });

  it('is the median of what processes took beside the allocator, under the name of its profile', async () => {
    expect(await recallContext('rtx-3060')).toBeNull();
    await rememberContexts([trial(110 * MIB), trial(140 * MIB)]);
    await rememberContexts([trial(120 * MIB)]);
    expect(await recallContext('rtx-3060')).toBe(120 * MIB);
    expect(await recallContext('rtx-3090')).toBeNull();
  });

  it('leaves out trials that tell nothing', () => {
    const cpu = { kind: 'cpu', name: 'x86_64', backend: 'CPU', totalBytes: null };
    const silent = [trial(0), trial(-MIB), trial(MIB, { outcome: 'oom' }), trial(MIB, { deviceBytes: null }), trial(MIB, { device: cpu })];
    expect(contextsOf(silent)).toEqual([]);
  });

  it('can be switched off, and a damaged file is as none', async () => {
    await rememberContexts([trial(110 * MIB)]);
    process.env.BATCHFIT_CALIBRATION = '0';
    expect(await recallContext('rtx-3060')).toBeNull();
    delete process.env.BATCHFIT_CALIBRATION;
    mkdirSync(join(folder, 'batchfit'), { recursive: true });
    writeFileSync(join(folder, 'batchfit', 'calibration.json'), '{"schema": "batchfit/calib');
    expect(await recallContext('rtx-3060')).toBeNull();
  });

  it('moves the device figure, not the tensors, and marks the estimate', async () => {
    const [model, target] = await Promise.all([readModel('resnet18'), resolveTarget({ device: 'rtx-3060' })]);
    const setup = { ...DEFAULT_SETUP, batch: 16 };
    const plain = estimateMemory(model, setup, target).memory;
    const calibrated = estimateMemory(model, setup, { ...target, contextBytes: 333 * MIB }).memory;
    expect(calibrated.source).toBe('calibrated');
    expect(calibrated.peak.deviceBytes.best - calibrated.peak.reservedBytes).toBe(333 * MIB);
    expect(calibrated.peak.tensorBytes).toBe(plain.peak.tensorBytes);
    expect(calibrated.peak.reservedBytes).toBe(plain.peak.reservedBytes);
    expect(plain.source).toBe('estimated');
  });
});
