import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { readModel } from '../../../src/model/open.js';
import { fitToGraph, readDataFile, storeData } from '../../../src/probe/noise/data.js';
import type { NumberArray } from '../../../src/probe/noise/npz.js';
import { readNoiseLines } from '../../../src/probe/noise/order.js';

const DIGITS = fileURLToPath(new URL('../../fixtures/noise/digits.npz', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'batchfit-data-'));
afterAll(() => rmSync(folder, { recursive: true }));
const array = (shape: number[], fill = 0): NumberArray => ({
  shape,
  data: new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(fill),
});

describe('an .npz file', () => {
  it('of scikit-learn is read as NumPy wrote it', async () => {
    const arrays = await readDataFile(DIGITS);
    expect([...arrays].map(([name, { shape }]) => [name, shape])).toEqual([
      ['x', [1797, 8, 8]],
      ['y', [1797]],
    ]);
    const { data: y } = arrays.get('y')!;
    const { data: x } = arrays.get('x')!;
    // The first row of the first digit, a zero: 0 0 5 13 9 1 0 0 out of 16, as in scikit-learn's documentation.
    expect([...x.subarray(0, 8)].map((value) => value * 16)).toEqual([0, 0, 5, 13, 9, 1, 0, 0]);
    expect([...y.subarray(0, 10)]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(y.filter((label) => label === 3)).toHaveLength(183);
  });
  it.each([
    ['missing.npz', null, 'no such file'],
    ['text.npz', Buffer.from('x,y\n1,2\n'), 'no ZIP archive'],
    ['short.npz', readFileSync(DIGITS).subarray(0, 20000), 'cut short'],
    ['empty.npz', Buffer.concat([Buffer.from('PK\x05\x06'), Buffer.alloc(18)]), 'no arrays'],
    ['rows.npz', npz({ x: npy("'<f4'", '(2,)', 8), y: npy("'<i8'", '(3,)', 24) }), 'y has 3 rows where others have 2'],
    ['big-endian.npz', npz({ x: npy("'>f4'", '(2,)', 8) }), "its type '>f4'"],
    ['objects.npz', npz({ x: npy("'|O'", '(2,)', 8) }), "its type '|O'"],
    ['fortran.npz', npz({ x: npy("'<f4'", '(2, 2)', 16, 'True') }), 'Fortran'],
    ['cut.npz', npz({ x: npy("'<f4'", '(200,)', 8) }), 'cut short'],
  ])('%s is refused', async (name, content, message) => {
    const path = join(folder, name);
    if (content) writeFileSync(path, content);
    await expect(readDataFile(path)).rejects.toMatchObject({ code: 'BAD_DATA', exitCode: 2, message: expect.stringContaining(message) });
    await expect(readDataFile(path)).rejects.toMatchObject({ message: expect.stringContaining(path) });
  });
});

describe('data for a model', () => {
  it('goes to the inputs in order, with the axes that the model has', async () => {
    const { arrays, sizes } = fitToGraph(await readDataFile(DIGITS), await readModel('digits-cnn'), {}, DIGITS);
    expect([...arrays].map(([name, { shape, data }]) => [name, shape, data.constructor.name])).toEqual([
      ['image', [1797, 1, 8, 8], 'Float32Array'],
      ['labels', [1797], 'Int32Array'],
    ]);
    expect(sizes).toEqual({ H: 8, W: 8 });
  });
  it('goes by name where the names are the inputs', async () => {
    const given = new Map([
      ['labels', array([3])],
      ['image', array([3, 1, 12, 10])],
    ]);
    const { arrays, sizes } = fitToGraph(given, await readModel('digits-cnn'), {}, 'data.npz');
    expect([...arrays.keys()]).toEqual(['image', 'labels']);
    expect(sizes).toEqual({ H: 12, W: 10 });
  });
  it.each([
    ['one array too few', { x: array([4, 8, 8]) }, {}, 'takes image, labels, found x'],
    ['features for images', { x: array([4, 64]), y: array([4]) }, {}, 'samples of shape [1, 8, 8], found [64]'],
    ['another size than asked for', { x: array([4, 9, 9]), y: array([4]) }, { H: 8, W: 8 }, '[1, 8, 8], found [9, 9]'],
    ['a class too many', { x: array([4, 8, 8]), y: array([4], 10) }, {}, 'whole numbers from 0 to 9, found 10'],
    ['fractions for classes', { x: array([4, 8, 8]), y: array([4], 0.5) }, {}, 'found 0.5'],
  ])('is refused: %s', async (_, arrays, sizes, message) => {
    const graph = await readModel('digits-cnn');
    const fit = () => fitToGraph(new Map(Object.entries(arrays)), graph, sizes, 'data.npz');
    expect(fit).toThrow(message);
    expect(fit).toThrow(expect.objectContaining({ code: 'BAD_DATA' }));
  });
  it('is stored with draws that are the same for the same seed, and removed', async () => {
    const { arrays } = fitToGraph(await readDataFile(DIGITS), await readModel('digits-cnn'), {}, DIGITS);
    const order = { smallBatch: 4, parts: 3, updates: 5, trainSteps: 2, seed: 7 };
    const [first, second] = [await storeData(arrays, order), await storeData(arrays, order)];
    if (first.data.kind !== 'arrays' || second.data.kind !== 'arrays') throw new Error('no arrays');
    const bytes = readFileSync(first.data.draws);
    expect(bytes).toEqual(readFileSync(second.data.draws));
    expect(bytes.length).toBe((2 + 5 * 3) * 4 * 4);
    const draws = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    expect(Math.max(...draws)).toBeLessThan(1797);
    expect(new Set(draws).size).toBeGreaterThan(50);
    expect(readFileSync(first.data.arrays[0]!.path).length).toBe(1797 * 64 * 4);
    for (const { data, remove } of [first, second]) {
      await remove();
      expect(data.kind === 'arrays' && existsSync(dirname(data.draws))).toBe(false);
    }
  });
});

it("reads a child's lines and ignores what is none of them", () => {
  const line = { schema: 'batchfit/noise-sample@1', microSqNorms: [3, 4], meanSqNorm: 2, loss: 0.5 };
  const text = [
    JSON.stringify(line),
    '{"schema":"batchfit/trial-report@1"}',
    'noise',
    JSON.stringify({ ...line, meanSqNorm: null }),
    JSON.stringify(line).slice(0, 40),
  ];
  expect(readNoiseLines(text.join('\n'))).toEqual([line]);
});

/** An array file as NumPy writes it, of zeros. */
function npy(type: string, shape: string, bytes: number, fortran = 'False'): Buffer {
  const header = `{'descr': ${type}, 'fortran_order': ${fortran}, 'shape': ${shape}, }\n`;
  const length = Buffer.alloc(2);
  length.writeUInt16LE(header.length);
  return Buffer.concat([Buffer.from('\x93NUMPY\x01\x00', 'latin1'), length, Buffer.from(header), Buffer.alloc(bytes)]);
}

/** A ZIP archive of stored members. */
function npz(members: Record<string, Buffer>): Buffer {
  const [files, directory]: [Buffer[], Buffer[]] = [[], []];
  let at = 0;
  for (const [name, data] of Object.entries(members)) {
    const file = `${name}.npy`;
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50);
    local.writeUInt16LE(file.length, 26);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50);
    for (const offset of [20, 24]) entry.writeUInt32LE(data.length, offset);
    entry.writeUInt16LE(file.length, 28);
    entry.writeUInt32LE(at, 42);
    files.push(local, Buffer.from(file), data);
    directory.push(entry, Buffer.from(file));
    at += 30 + file.length + data.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50);
  end.writeUInt16LE(directory.length / 2, 10);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...files, ...directory, end]);
}
