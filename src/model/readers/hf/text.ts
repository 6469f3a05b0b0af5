/** What the readers of text models share: the graph under construction, the inputs, the head, the release. */
import { checkRange } from '../../adapt.js';
import { GraphBuilder, type Value } from '../../builder.js';
import type { ModelSource, Size, SymbolRange } from '../../graph.js';
import type { Head, ModelOptions } from '../../options.js';
import { configError } from './config.js';
import { type Release, shiftOf } from './release.js';

/** A request to read a config: what family readers get. */
export interface Request {
  raw: Record<string, unknown>;
  file: string;
  name: string;
  source: ModelSource;
  head: Head;
  release: Release;
  /** Attention written out ("eager") rather than fused. */
  eager: boolean;
  options: ModelOptions;
}

/** The running graph of a text model. */
export interface Text extends Request {
  g: GraphBuilder;
  batch: Size;
  length: Size;
  ids: Value;
  vocabulary: number;
}

const DEFAULT_LENGTH = 1024;

/**
 * Begins the graph: token ids [B, S]. `longest` is the last position that has an embedding, where positions are
 * learned; `usual` the length a model with computed positions was made for.
 */
export function beginText(
  request: Request,
  vocabulary: number,
  lengths: { longest?: number; usual?: number; limits?: Partial<SymbolRange> },
): Text {
  const g = new GraphBuilder(request.name, request.source);
  const { longest } = lengths;
  const length = sequenceLength(request, lengths);
  const range: SymbolRange = { default: length, ...(longest === undefined ? {} : { max: longest }), ...lengths.limits };
  checkRange(request.name, 'S', range, length, '--seq');
  const symbol = g.symbol('S', range);
  const ids = g.input('input_ids', ['B', symbol], 'int64', 'data', vocabulary);
  return { ...request, g, batch: 'B', length: symbol, ids, vocabulary };
}

/** The sequence length asked for, else the model's own up to 1024. */
export function sequenceLength(request: Request, lengths: { longest?: number; usual?: number }): number {
  return request.options.seq ?? Math.min(lengths.longest ?? lengths.usual ?? DEFAULT_LENGTH, DEFAULT_LENGTH);
}

/** Number of labels of a classification head: the option, `num_labels`, the size of `id2label`, or the default. */
export function labelCount(request: Request, fallback = 2): number {
  const { raw, options, file } = request;
  if (options.classes !== undefined) return options.classes;
  const count = raw.num_labels ?? (raw.id2label && typeof raw.id2label === 'object' ? Object.keys(raw.id2label).length : fallback);
  if (typeof count !== 'number' || !Number.isSafeInteger(count) || count < 1) {
    throw configError(file, 'num_labels', `expected a whole number from 1, found ${JSON.stringify(count)}`);
  }
  return count;
}

/** Labels [B, S] of a token head. Language models take the token ids for both, as `model(input_ids, labels=input_ids)`. */
export function tokenLabels(text: Text, classes: number): Value {
  return text.g.input('labels', ['B', text.length], 'int64', 'target', classes);
}

/** Labels [B] of a sequence head; of a single class they are numbers. */
export function sequenceLabels(text: Text, classes: number): Value {
  return classes === 1 ? text.g.input('labels', ['B'], 'model', 'target') : text.g.input('labels', ['B'], 'int64', 'target', classes);
}

/** How this release shifts labels against logits. */
export function shiftFor(text: Text): ReturnType<typeof shiftOf> {
  return shiftOf(text.release, String(text.raw.model_type));
}

/** The error for a head that a family's reader does not build. */
export function unsupportedHead(request: Request, heads: readonly Head[]): Error {
  return configError(
    request.file,
    'architectures',
    `the head ${request.head} is not supported for ${String(request.raw.model_type)} yet`,
    `its heads are ${heads.join(', ')}: choose one with --head`,
  );
}
