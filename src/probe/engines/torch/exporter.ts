/** Exports a PyTorch module as a ModelGraph, in a child with the user's own Python and packages. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MissingError, UndeterminedError, UsageError } from '../../../errors.js';
import type { ModelGraph } from '../../../model/graph.js';
import type { ModelOptions } from '../../../model/options.js';
import { parseGraph } from '../../../model/validate.js';
import { runChild } from '../../child.js';
import { requireTorch } from './engine.js';
import { findTorch } from './python.js';

const SCRIPT = fileURLToPath(new URL('./export.py', import.meta.url));
const EXPORT_SECONDS = 1800;
/** Exit codes of export.py. */
const UNSUPPORTED = 4;
const MISSING = 3;

/** What only PyTorch can make a graph of. */
export function isCode(reference: string): boolean {
  return /^(timm|torchvision|hf):/.test(reference) || /\.py(:\w*)?$/.test(reference);
}

/**
 * The graph of `timm:NAME`, `torchvision:NAME`, `hf:PATH` or `file.py:function`. Throws MissingError without PyTorch or the
 * package, UsageError for what the code or the name gets wrong, UndeterminedError for a model that has no fixed graph.
 */
export async function exportModel(reference: string, options: ModelOptions, signal: AbortSignal): Promise<ModelGraph> {
  if (/\.py:?$/.test(reference)) {
    throw new UsageError(
      'BAD_MODEL',
      `${reference}: names no function`,
      `write ${reference.replace(/:$/, '')}:function, which returns (module, example inputs[, loss])`,
    );
  }
  const { python } = requireTorch(await findTorch(signal));
  const folder = await mkdtemp(join(tmpdir(), 'batchfit-export-'));
  try {
    const path = join(folder, 'model.graph.json');
    const child = await runChild({
      command: [python.path, SCRIPT, reference, path, ...words(options)],
      environment: { PYTHONDONTWRITEBYTECODE: '1', CUDA_VISIBLE_DEVICES: '' },
      timeoutSeconds: EXPORT_SECONDS,
      memoryCapBytes: null,
      signal,
    });
    if (child.exitCode === 0) return await parseGraph(JSON.parse(await readFile(path, 'utf8')), reference);
    throw failure(reference, child.exitCode, child.stderr);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function words(options: ModelOptions): string[] {
  const { image, seq, classes, head } = options;
  return [
    ...(image ? ['--image', image.join('x')] : []),
    ...(seq === undefined ? [] : ['--seq', String(seq)]),
    ...(classes === undefined ? [] : ['--classes', String(classes)]),
    ...(head === undefined ? [] : ['--head', head]),
  ];
}

function failure(reference: string, exitCode: number | null, stderr: string): Error {
  const line = (stderr.trim().split('\n').at(-1) ?? '').replace(/^(unsupported|missing): /, '') || `exit code ${exitCode}`;
  if (exitCode === MISSING)
    return new MissingError(
      'PACKAGE_MISSING',
      `${reference}: ${line}`,
      'install the package beside that PyTorch, or name another Python in BATCHFIT_PYTHON',
    );
  if (exitCode !== UNSUPPORTED)
    return new UsageError(
      'EXPORT_FAILED',
      `${reference}: ${line}`,
      'see that the function runs by itself and returns (module, example inputs[, loss])',
    );
  if (/has no model|no function|no such|expected \(/.test(line))
    return new UsageError('BAD_MODEL', `${reference}: ${line}`, 'check the spelling, and what the function returns');
  return new UndeterminedError(
    'NOT_EXPORTABLE',
    line,
    'a model whose path depends on its values has no fixed graph: measure it with batchfit probe',
  );
}
