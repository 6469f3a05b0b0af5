/** Runs reference.py and reads what it wrote. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ModelGraph } from '../../../src/model/graph.js';
import { pythonWithTorch } from './python.js';

interface Index {
  loss: number;
  arrays: Record<string, { shape: number[]; offset: number }>;
}

export interface Case {
  graph: ModelGraph;
  symbols: { B: number; S?: number; H?: number; W?: number };
}

export interface Numbers {
  shape: number[];
  data: Float32Array;
}

export interface Reference {
  loss: number;
  /** Parameters and inputs as both sides start with them. */
  given: Record<string, Numbers>;
  gradients: Record<string, Numbers>;
  buffers: Record<string, Numbers>;
}

/** Loss, gradients and buffers of one pass of each case in PyTorch, with the random numbers that it started from. */
export function runInTorch(cases: Case[]): Reference[] {
  const folder = mkdtempSync(join(tmpdir(), 'batchfit-reference-'));
  const [casesFile, valuesFile] = [join(folder, 'cases.json'), join(folder, 'values.bin')];
  try {
    writeFileSync(casesFile, JSON.stringify(cases));
    const script = fileURLToPath(new URL('reference.py', import.meta.url));
    const printed = execFileSync(pythonWithTorch(), [script, casesFile, valuesFile], { encoding: 'utf8', maxBuffer: 2 ** 28 });
    const answers = JSON.parse(printed) as Index[];
    const bytes = readFileSync(valuesFile);
    const all = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    return answers.map(({ loss, arrays }) => {
      const read = (kind: string) => readArrays(arrays, `${kind}:`, all);
      return { loss, given: read('given'), gradients: read('gradient'), buffers: read('buffer') };
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function readArrays(arrays: Index['arrays'], prefix: string, all: Float32Array): Record<string, Numbers> {
  const chosen = Object.entries(arrays).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(
    chosen.map(([name, { shape, offset }]) => {
      const length = shape.reduce((product, size) => product * size, 1);
      return [name.slice(prefix.length), { shape, data: all.subarray(offset, offset + length) }];
    }),
  );
}
