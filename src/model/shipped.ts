/** The table of shipped graphs (profiles/graphs/index.tsv), read line by line: a name is found without parsing the rest. */
import { MissingError, UsageError } from '../errors.js';
import { adaptGraph } from './adapt.js';
import type { ModelGraph } from './graph.js';
import { nearestNames } from './nearest.js';
import type { ModelOptions } from './options.js';

/** How much of a graph's key the compressor was given: as far as deflate looks back. */
export const DICTIONARY_BYTES = 32768;

/** Columns of the table. A graph lies in `file` at `offset`; its compressor knew the graph at `keyOffset` already, if any. */
export const COLUMNS = ['name', 'parameters', 'input', 'sizes', 'file', 'offset', 'length', 'keyOffset', 'keyLength'] as const;

/** A graph that the package ships. */
export interface ShippedModel {
  /** "timm:resnet50". */
  reference: string;
  parameters: number;
  /** The example input without the batch: "3x224x224". */
  input: string;
  /** Whether its height and width can be set with --image. */
  freeSize: boolean;
}

/** Where a graph's bytes are. */
export interface ShippedPlace {
  file: string;
  offset: number;
  length: number;
  /** The graph that the compressor was primed with. */
  key: { offset: number; length: number } | null;
}

/**
 * Where the graph of `reference` is. Throws MissingError (NEEDS_EXPORT) for a model that its library has and the
 * package lacks, UsageError for one that has no graph, and with the nearest names for a name that the library lacks.
 */
export function findShipped(table: string, reference: string): ShippedPlace {
  const start = table.indexOf(`\n${reference}\t`) + 1;
  if (start === 0) throw unknownShipped(table, reference);
  const line = table.slice(start, table.indexOf('\n', start));
  const [, , , , file, offset, length, keyOffset, keyLength] = line.split('\t') as string[];
  if (!file) throw withoutGraph(reference, line.split('\t')[1] as string);
  const key = keyOffset ? { offset: Number(keyOffset), length: Number(keyLength) } : null;
  return { file, offset: Number(offset), length: Number(length), key };
}

/** The shipped graphs in the order of their names; with `search`, those whose reference holds it. */
export function shippedModels(table: string, search = ''): ShippedModel[] {
  return rows(table)
    .filter((row) => row[4] !== undefined && (row[0] as string).toLowerCase().includes(search.toLowerCase()))
    .map(([reference = '', parameters, input = '', sizes]) => ({
      reference,
      parameters: Number(parameters),
      input,
      freeSize: sizes === 'free',
    }));
}

function rows(table: string): string[][] {
  const lines = table.split('\n').slice(1);
  return lines.filter((line) => line !== '').map((line) => line.split('\t'));
}

/** `adaptGraph`; where the shipped graph can't take an option, the export that can is named. */
export function adaptShipped(graph: ModelGraph, options: ModelOptions): ModelGraph {
  try {
    return adaptGraph(graph, options);
  } catch (error) {
    const exportTakes = options.seq === undefined && (options.classes === undefined || options.classes >= 1);
    if (!(error instanceof UsageError) || error.code !== 'BAD_MODEL_OPTION' || !exportTakes) throw error;
    const flags = [
      ...(options.image ? [`--image ${options.image.join('x')}`] : []),
      ...(options.classes === undefined ? [] : [`--classes ${options.classes}`]),
    ];
    const command = `batchfit trace ${graph.source.reference} ${flags.join(' ')} -o ${graph.name}.graph.json`;
    const hint = [...(error.hint ? [error.hint] : []), `with PyTorch it may be exported so: ${command}`].join('; ');
    throw new UsageError(error.code, error.message, hint, { cause: error });
  }
}

/** What only PyTorch can turn into a graph. */
export function needsExport(reference: string): MissingError {
  const output = `${reference.replace(/^.*[:/\\]/, '').replace(/\.py$/, '')}.graph.json`;
  return new MissingError(
    'NEEDS_EXPORT',
    `${reference} has to be exported by PyTorch first`,
    `run: batchfit trace ${reference} -o ${output}`,
  );
}

function withoutGraph(reference: string, why: string): UsageError | MissingError {
  if (why === '') return needsExport(reference);
  return new UsageError('UNSUPPORTED_MODEL', `${reference} has no graph: ${why}`, 'measure it: batchfit probe -- COMMAND {batch}');
}

function unknownShipped(table: string, reference: string): UsageError {
  const [library, name = ''] = reference.split(':') as [string, string?];
  const names = rows(table).map(([candidate]) => candidate as string);
  const own = names.filter((candidate) => candidate.startsWith(`${library}:`)).map((candidate) => candidate.slice(library.length + 1));
  // A tag after the dot names weights, which may come with other classes and another image size.
  const base = name.replace(/\..*$/, '');
  const near = own.includes(base) ? [base] : nearestNames(name, own);
  const hint = near.length > 0 ? `did you mean ${near.map((each) => `${library}:${each}`).join(', ')}? ` : '';
  return new UsageError(
    'UNKNOWN_MODEL',
    `there is no shipped graph "${reference}"`,
    `${hint}"batchfit profiles models TEXT" searches them; one of another release of ${library}: batchfit trace ${library}:NAME -o NAME.graph.json`,
  );
}
