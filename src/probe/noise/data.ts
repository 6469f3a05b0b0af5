/** From a data file to what an engine's child reads: arrays that fit the model's inputs, and which samples to take. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UsageError } from '../../errors.js';
import type { GraphInput, ModelGraph } from '../../model/graph.js';
import { evaluateSize, type SymbolValues } from '../../model/sizes.js';
import { createRandom } from '../../random.js';
import { type NumberArray, readNpz } from './npz.js';
import type { NoiseData, NoiseOrder } from './order.js';

/** Arrays by the name of the input that they are for, and the sizes that they settle. */
export interface FittedData {
  arrays: Map<string, NumberArray>;
  sizes: SymbolValues;
}

const HOW_TO_SAVE = 'in Python: np.savez("data.npz", x=inputs, y=labels), with one row a sample';

/** Reads an .npz file. Throws UsageError naming the file and what is wrong with it. */
export async function readDataFile(path: string): Promise<Map<string, NumberArray>> {
  const file = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(
      'BAD_DATA',
      `--data ${path}: ${error.code === 'ENOENT' ? 'no such file' : `could not be read (${error.code})`}`,
      HOW_TO_SAVE,
    );
  });
  try {
    const arrays = readNpz(file);
    const [first] = arrays.values();
    if (!first) throw new RangeError('it holds no arrays');
    for (const [name, { shape }] of arrays) {
      if (shape[0] === undefined || shape[0] !== first.shape[0])
        throw new RangeError(`${name} has ${shape[0] ?? 'no'} rows where others have ${first.shape[0]}`);
      if (shape[0] === 0) throw new RangeError(`${name} has no rows`);
    }
    return arrays;
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError('BAD_DATA', `--data ${path}: ${error.message}`, HOW_TO_SAVE);
    throw error;
  }
}

/** Gives every input of the graph its array: by name, else in order. Throws UsageError where shapes or values do not fit. */
export function fitToGraph(arrays: Map<string, NumberArray>, graph: ModelGraph, given: SymbolValues, path: string): FittedData {
  const named = graph.inputs.every(({ name }) => arrays.has(name));
  if (!named && arrays.size !== graph.inputs.length) {
    throw new UsageError(
      'BAD_DATA',
      `--data ${path}: ${graph.name} takes ${graph.inputs.map(({ name }) => name).join(', ')}, found ${[...arrays.keys()].join(', ')}`,
      'save one array for each, by these names or in this order',
    );
  }
  const inOrder = [...arrays.values()];
  const sizes: SymbolValues = { ...given };
  const fitted = graph.inputs.map((input, index): [string, NumberArray] => {
    const array = named ? arrays.get(input.name)! : inOrder[index]!;
    return [input.name, fitToInput(array, input, graph, sizes, path)];
  });
  return { arrays: new Map(fitted), sizes };
}

function fitToInput({ shape, data }: NumberArray, input: GraphInput, graph: ModelGraph, sizes: SymbolValues, path: string): NumberArray {
  const [rows, ...found] = shape as [number, ...number[]];
  const wanted = input.shape.slice(1);
  // A row without the axes of size 1 is as good: images of one channel, labels in a column.
  const row =
    found.length === wanted.length
      ? found
      : spread(
          found.filter((size) => size !== 1),
          wanted,
        );
  if (row) settleSymbols(row, wanted, graph, sizes);
  const expected = wanted.map((size) => evaluateSize(size, { ...defaultsOf(graph), ...sizes }));
  if (!row || expected.some((size, axis) => size !== row[axis])) {
    throw new UsageError(
      'BAD_DATA',
      `--data ${path}: input ${input.name} of ${graph.name} takes samples of shape [${expected.join(', ')}], found [${found.join(', ')}]`,
      'reshape the array, or set --image or --seq',
    );
  }
  const isWhole = /^u?int|bool/.test(input.dtype);
  if (isWhole) checkValues(data, input, path);
  const values = isWhole === data instanceof Int32Array ? data : isWhole ? Int32Array.from(data) : Float32Array.from(data);
  return { shape: [rows, ...row], data: values };
}

/** Puts axes of size 1 back where the input has them; null where that does not do. */
function spread(row: number[], wanted: GraphInput['shape']): number[] | null {
  const left = [...row];
  const full = wanted.map((size) => (size === 1 ? 1 : (left.shift() ?? Number.NaN)));
  return left.length > 0 || full.some(Number.isNaN) ? null : full;
}

/** The data says how large an image or how long a sequence is, where the user did not. */
function settleSymbols(row: number[], wanted: GraphInput['shape'], graph: ModelGraph, sizes: SymbolValues): void {
  wanted.forEach((size, axis) => {
    const limits = size === 'S' || size === 'H' || size === 'W' ? graph.symbols[size] : undefined;
    const value = row[axis]!;
    if (!limits || sizes[size as 'S'] !== undefined) return;
    const { min = 1, max = Number.MAX_SAFE_INTEGER, multipleOf = 1 } = limits;
    if (value >= min && value <= max && value % multipleOf === 0) sizes[size as 'S'] = value;
  });
}

function defaultsOf(graph: ModelGraph): SymbolValues {
  return Object.fromEntries(Object.entries(graph.symbols).map(([name, range]) => [name, range.default]));
}

function checkValues(data: NumberArray['data'], input: GraphInput, path: string): void {
  const limit = input.high ?? Number.POSITIVE_INFINITY;
  const bad = data.find((value) => !Number.isInteger(value) || value < 0 || value >= limit);
  if (bad === undefined) return;
  throw new UsageError(
    'BAD_DATA',
    `--data ${path}: input ${input.name} takes whole numbers from 0${input.high === undefined ? '' : ` to ${input.high - 1}`}, found ${bad}`,
    input.role === 'target' ? 'number the classes from 0, or set --classes' : 'check the values, or the order of the arrays',
  );
}

export type Draws = Pick<NoiseOrder, 'smallBatch' | 'parts' | 'updates' | 'trainSteps' | 'seed'>;

/**
 * Writes the arrays and the draws to a folder of their own. Samples are drawn with replacement, so that micro batches are
 * independent of each other as the estimator assumes: without it the variance of a finite data set comes out too small.
 */
export async function storeData(arrays: Map<string, NumberArray>, draws: Draws): Promise<{ data: NoiseData; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'batchfit-noise-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    const store = async (name: string, data: NumberArray['data']) => {
      const path = join(folder, name);
      await writeFile(path, data);
      return path;
    };
    const stored = [...arrays].map(async ([name, { shape, data }], index) => {
      const dtype = data instanceof Int32Array ? ('int32' as const) : ('float32' as const);
      return { name, path: await store(`${index}.bin`, data), dtype, shape };
    });
    const rows = [...arrays.values()][0]!.shape[0]!;
    return {
      data: { kind: 'arrays', arrays: await Promise.all(stored), draws: await store('draws.bin', drawSamples(rows, draws)) },
      remove,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

function drawSamples(rows: number, { smallBatch, parts, updates, trainSteps, seed }: Draws): Int32Array {
  const random = createRandom(seed);
  return Int32Array.from({ length: (trainSteps + updates * parts) * smallBatch }, () => Math.floor(random() * rows));
}
