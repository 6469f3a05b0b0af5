import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { assertWritable, toDocument, toJson, writeOutput } from '../../src/output/json.js';
import { table } from '../../src/output/tables.js';

const folder = mkdtempSync(join(tmpdir(), 'batchfit-json-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('json', () => {
  it('puts the envelope around an answer', () => {
    const warning = { code: 'W', message: 'm', hint: '' };
    expect(toDocument('plan', '1.2.3', { value: 1 }, [warning])).toEqual({
      schema: 'batchfit/plan@1',
      version: '1.2.3',
      value: 1,
      warnings: [warning],
    });
  });

  it('never turns a figure into null', () => {
    expect(() => toJson({ bytes: Number.NaN })).toThrow('the figure "bytes" is NaN');
    expect(() => toJson({ rows: [{ seconds: Number.POSITIVE_INFINITY }] })).toThrow('the figure "seconds" is Infinity');
    expect(JSON.parse(toJson({ bytes: null }))).toEqual({ bytes: null });
  });

  it('knows before a run whether a file can be written', async () => {
    expect(() => assertWritable(join(folder, 'new.json'), '--output')).not.toThrow();
    expect(() => assertWritable(join(folder, 'no', 'new.json'), '--output')).toThrow('its folder does not exist');
    expect(() => assertWritable(folder, '--output')).toThrow('a folder');
    expect(() => assertWritable('', '--output')).toThrow('an empty name');
    await expect(writeOutput(folder, '', '--output')).rejects.toThrow(`--output: could not write ${folder}: EISDIR`);
  });
});

describe('table', () => {
  it('aligns figures right and words left, without colours or trailing blanks', () => {
    const text = table(
      ['name', 'batch', 'note'],
      [
        ['resnet50', '32', 'fits'],
        ['x', '-', ''],
        ['y', '1,024', 'no'],
      ],
    );
    expect(text).toMatchInlineSnapshot(`
      "name      batch  note
      resnet50     32  fits
      x             -
      y         1,024  no"
    `);
    expect(text).not.toContain('\u001b');
    expect(text).not.toMatch(/ $/m);
  });
});
