import { expect, it } from 'vitest';
import { batchfit, batchfitJson, PROGRAM } from './run.js';

it('doctor says what is here and ends well, whatever is missing', async () => {
  const { document, exitCode } = await batchfitJson(['doctor'], { env: { XDG_DATA_HOME: `${PROGRAM}/none` } });
  expect(exitCode).toBe(0);
  expect(document.node).toMatchObject({ version: process.versions.node, supported: true });
  expect(document.dataFolder).toEqual({ path: `${PROGRAM}/none/batchfit/engines`, writable: false });
  expect(document.problems).toContainEqual(expect.objectContaining({ subject: 'data folder' }));
  expect(document.devices.map(({ kind }: { kind: string }) => kind)).toContain('cpu');
});

it('doctor tells people the same', async () => {
  const { stdout, exitCode } = await batchfit(['doctor']);
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^Node \d+.*\n.*npm: /);
});
