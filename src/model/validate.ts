/** Checks of a graph document: the shape of the JSON (zod), then that every name it uses is there. */
import type { z } from 'zod';
import { UsageError } from '../errors.js';
import type { Argument, ModelGraph } from './graph.js';
import { parseSize, symbolsOf } from './sizes.js';

const DTYPES = [
  'model',
  'float64',
  'float32',
  'float16',
  'bfloat16',
  'int64',
  'int32',
  'int16',
  'int8',
  'uint8',
  'bool',
  'complex64',
] as const;

/** The zod schema of a `*.graph.json` document. zod is slow to load, and no shipped profile needs it: loaded on first use. */
export async function graphSchema() {
  const { z } = await import('zod');
  const size = z.union([z.int(), z.string()]);
  const dtype = z.enum(DTYPES);
  const argument: z.ZodType<Argument> = z.lazy(() => z.union([z.null(), z.boolean(), z.number(), z.string(), z.array(argument)]));
  const range = z.strictObject({
    default: z.int().positive(),
    min: z.int().positive().optional(),
    max: z.int().positive().optional(),
    multipleOf: z.int().positive().optional(),
  });
  return z.strictObject({
    format: z.literal('batchfit-graph@1'),
    name: z.string().min(1),
    source: z.strictObject({ format: z.string(), reference: z.string(), versions: z.array(z.string()).optional() }),
    symbols: z.strictObject({ S: range.optional(), H: range.optional(), W: range.optional() }),
    parameters: z.array(
      z.strictObject({
        name: z.string().min(1),
        shape: z.array(z.int().nonnegative()),
        dtype: dtype.optional(),
        aliases: z.array(z.string()).optional(),
        trainable: z.boolean().optional(),
      }),
    ),
    buffers: z.array(z.strictObject({ name: z.string().min(1), shape: z.array(z.int().nonnegative()), dtype })),
    inputs: z.array(
      z.strictObject({
        name: z.string().min(1),
        shape: z.array(size),
        dtype,
        role: z.enum(['data', 'target']),
        high: z.int().positive().optional(),
      }),
    ),
    nodes: z.array(
      z.strictObject({
        op: z.string().min(1),
        args: z.array(argument),
        kwargs: z.record(z.string(), argument).optional(),
        outputs: z.array(z.string()),
        module: z.string(),
      }),
    ),
    loss: z.string().min(1),
    outputs: z.array(z.string()),
    checkpoints: z.array(z.string()),
  });
}

/**
 * Reads a parsed JSON value as a graph. Throws UsageError naming the file and the field or node that is wrong.
 */
export async function parseGraph(value: unknown, file: string): Promise<ModelGraph> {
  const result = (await graphSchema()).safeParse(value);
  if (!result.success) throw badGraph(file, describeIssue(result.error.issues[0] as z.core.$ZodIssue, value));
  const graph = result.data as ModelGraph;
  checkGraph(graph, file);
  return graph;
}

/**
 * Checks that names are unique, that each value is made before it is used, that sizes use declared symbols, and that
 * the loss and the outputs exist. Throws UsageError naming the file and the node.
 */
export function checkGraph(graph: ModelGraph, file: string): void {
  const known = new Set<string>();
  const declare = (name: string, what: string): void => {
    if (known.has(name)) throw badGraph(file, `${what}: the name "${name}" is taken already`);
    known.add(name);
  };
  const checkSize = (size: number | string, where: string): void => {
    if (typeof size === 'number') return;
    parseSize(size);
    for (const symbol of symbolsOf(size)) {
      if (symbol !== 'B' && !graph.symbols[symbol])
        throw badGraph(file, `${where}: the size "${size}" uses ${symbol}, which "symbols" lacks`);
    }
  };
  const checkArgument = (argument: Argument, where: string): void => {
    if (Array.isArray(argument)) for (const element of argument) checkArgument(element, where);
    else if (typeof argument !== 'string') return;
    else if (argument.startsWith('=')) checkSize(argument.slice(1), where);
    else if (argument.startsWith('%') && !known.has(argument.slice(1))) {
      throw badGraph(file, `${where}: "${argument}" is no parameter, buffer, input or output of an earlier node`);
    }
  };

  for (const parameter of graph.parameters) declare(parameter.name, 'parameters');
  for (const buffer of graph.buffers) declare(buffer.name, 'buffers');
  for (const input of graph.inputs) {
    declare(input.name, 'inputs');
    for (const size of input.shape) checkSize(size, `input ${input.name}`);
  }
  graph.nodes.forEach((node, index) => {
    const where = `nodes[${index}] (${node.op})`;
    for (const argument of [...node.args, ...Object.values(node.kwargs ?? {})]) checkArgument(argument, where);
    for (const output of node.outputs) if (output !== '') declare(output, where);
  });
  const made = new Set(graph.nodes.flatMap((node) => node.outputs));
  if (!made.has(graph.loss)) throw badGraph(file, `loss: "${graph.loss}" is no node's output`);
  for (const output of graph.outputs) if (!known.has(output)) throw badGraph(file, `outputs: there is no value "${output}"`);
  for (const path of graph.checkpoints) {
    if (!graph.nodes.some(({ module }) => module === path || module.startsWith(`${path}.`))) {
      throw badGraph(file, `checkpoints: no node is in the module "${path}"`);
    }
  }
}

function describeIssue(issue: z.core.$ZodIssue, value: unknown): string {
  const path = issue.path.reduce<string>(
    (text, key) => (typeof key === 'number' ? `${text}[${key}]` : `${text}${text && '.'}${String(key)}`),
    '',
  );
  const found = issue.path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key], value);
  const shown = JSON.stringify(found) ?? 'nothing';
  return `${path || 'the document'}: ${issue.message}, found ${shown.length > 60 ? `${shown.slice(0, 60)}...` : shown}`;
}

function badGraph(file: string, problem: string): UsageError {
  return new UsageError('BAD_GRAPH', `${file}: ${problem}`, 'export the model again with "batchfit trace"');
}
