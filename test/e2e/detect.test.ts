import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { makeMemoryCgroup, removeMemoryCgroup } from '../../src/probe/cgroup.js';
import { batchfit, batchfitJson } from './run.js';

const GIB = 2 ** 30;
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

/** A search path on which nvidia-smi is the given script. */
function withNvidiaSmi(body: string): { env: Record<string, string> } {
  const folder = mkdtempSync(join(tmpdir(), 'batchfit-smi-'));
  folders.push(folder);
  writeFileSync(join(folder, 'nvidia-smi'), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  return { env: { PATH: `${folder}:${process.env.PATH}` } };
}

describe('detect', () => {
  it('always has a host, a CPU and the state of the engines', async () => {
    const { document, exitCode } = await batchfitJson(['detect']);
    expect(exitCode).toBe(0);
    expect(document.host.memory.limitBytes).toBeLessThanOrEqual(document.host.memory.totalBytes);
    expect(document.devices.at(-1)).toMatchObject({ id: 'cpu', kind: 'cpu' });
    for (const engine of document.engines) expect(['ready', 'missing', 'broken']).toContain(engine.status);
  });

  it('says when nvidia-smi is broken, and goes on', async () => {
    const broken = withNvidiaSmi('echo "Failed to initialize NVML: Driver/library version mismatch"; exit 18');
    const { document, exitCode } = await batchfitJson(['detect'], broken);
    expect(exitCode).toBe(0);
    expect(document.tools[0]).toMatchObject({ name: 'nvidia-smi', status: 'failed' });
    expect(document.warnings.map(({ code }: { code: string }) => code)).toContain('NVIDIA_SMI_FAILED');
    expect((await batchfit(['detect'], broken)).stderr).toContain('version mismatch');
  });

  it('does not wait for ever when it hangs, nor does an estimate, which cannot tell then', async () => {
    const hanging = withNvidiaSmi('sleep 600');
    const [detected, estimated, named] = await Promise.all([
      batchfitJson(['detect'], hanging),
      batchfitJson(['estimate', 'digits-mlp', '--batch', '4'], hanging),
      batchfitJson(['estimate', 'digits-mlp', '--batch', '4', '--device', 't4'], hanging),
    ]);
    expect(detected).toMatchObject({ exitCode: 0, document: { tools: [{ status: 'timeout' }, {}] } });
    expect(estimated).toMatchObject({ exitCode: 4, document: { error: { code: 'UNREADABLE_DEVICE' } } });
    expect(named.exitCode).toBe(0);
  });

  it("reads a real cgroup's limit where one can be made, or the machine's where not", async () => {
    const group = makeMemoryCgroup(3 * GIB);
    if ('reason' in group) {
      expect(group.reason).not.toBe('');
      expect((await batchfitJson(['detect'])).document.host.memory.limitBytes).toBeGreaterThan(0);
      return;
    }
    try {
      const { document } = await batchfitJson(['detect'], { onStart: (pid) => writeFileSync(group.procsFile, String(pid)) });
      expect(document.host.memory).toMatchObject({
        limitBytes: 3 * GIB,
        limitedBy: `cgroup-v${group.version}`,
        limitPath: expect.stringContaining(group.directory),
      });
      expect(document.host.memory.availableBytes).toBeLessThanOrEqual(3 * GIB);
    } finally {
      removeMemoryCgroup(group);
    }
  });
});

describe('profiles', () => {
  it('lists devices and shows one with the source of every figure', async () => {
    const list = await batchfitJson(['profiles', 'devices']);
    expect(list.document.profiles.map(({ name }: { name: string }) => name)).toContain('rtx-3090');
    const { document } = await batchfitJson(['profiles', 'devices', 'RTX 3090']);
    expect(document.profile).toMatchObject({ name: 'rtx-3090', sources: { bandwidthBytesPerSecond: expect.stringContaining('https://') } });
    expect((await batchfit(['profiles', 'devices', 'rtx-3090'])).stdout).toContain('usable by one process');
  });

  it('refuses an unknown one', async () => {
    expect(await batchfitJson(['profiles', 'devices', 'rtx-309'])).toMatchObject({
      exitCode: 2,
      document: { error: { code: 'UNKNOWN_DEVICE' } },
    });
  });
});
