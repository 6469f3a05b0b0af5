/** Models for lists and for people. */
import type { ModelGraph } from '../model/graph.js';
import { listModelProfiles, listShippedModels } from '../model/open.js';
import { table } from './tables.js';

export interface ModelEntry {
  name: string;
  summary: string;
  parameters: number;
  /** One example: "3x224x224", or what a profile says. */
  input: string;
}

/** The model profiles. */
export async function listProfiles(): Promise<ModelEntry[]> {
  return (await listModelProfiles()).map(({ name, about, parameters, input }) => {
    return { name, summary: `${about}; ${formatCount(parameters)} parameters, ${input}`, parameters, input };
  });
}

/** The model profiles and the shipped graphs whose names hold `search`, in any case. */
export async function searchModels(search: string): Promise<ModelEntry[]> {
  const profiles = (await listProfiles()).filter(({ name }) => name.toLowerCase().includes(search.toLowerCase()));
  const graphs = (await listShippedModels(search)).map(({ reference, parameters, input, freeSize }) => {
    return {
      name: reference,
      summary: `${formatCount(parameters)} parameters, ${input}${freeSize ? ' or others' : ''}`,
      parameters,
      input,
    };
  });
  return [...profiles, ...graphs];
}

/** Everything about a graph but its nodes and weights. */
export function describeGraph(graph: ModelGraph): Record<string, unknown> {
  const { name, source, symbols, inputs, nodes, checkpoints } = graph;
  const [parameters, trainableParameters] = countParameters(graph);
  const operators = new Set(nodes.map(({ op }) => op)).size;
  return {
    name,
    source,
    parameters,
    trainableParameters,
    symbols,
    inputs,
    nodes: nodes.length,
    operators,
    checkpoints: checkpoints.length,
  };
}

/** One line, as in a list. */
export function summarizeGraph(graph: ModelGraph): string {
  return `${formatCount(countParameters(graph)[0])} parameters, ${exampleShape(graph)}`;
}

export function renderGraph(graph: ModelGraph): string {
  const [parameters, trainable] = countParameters(graph);
  const { name, source, symbols, nodes, checkpoints } = graph;
  const limits = Object.entries(symbols).map(([symbol, range]) => {
    const { min = 1, max, multipleOf = 1 } = range;
    return `${SYMBOLS[symbol]} ${range.default}, from ${min}${max ? ` to ${max}` : ''}${multipleOf > 1 ? ` in steps of ${multipleOf}` : ''}`;
  });
  const rows = [
    ['parameters', parameters.toLocaleString('en')],
    ...(trainable === parameters ? [] : [['trainable', trainable.toLocaleString('en')]]),
    ['example', exampleShape(graph)],
    ['can be set', limits.join('; ') || 'nothing: its size is built in'],
    ['operators', `${nodes.length} calls of ${new Set(nodes.map(({ op }) => op)).size}`],
    ['blocks to recompute', String(checkpoints.length)],
    ['source', [source.reference, ...(source.versions ?? [])].join(', ')],
  ];
  return [name, '', table(['about', 'value'], rows, { align: ['left', 'left'] })].join('\n');
}

const SYMBOLS: Record<string, string> = { S: 'length', H: 'height', W: 'width' };

function exampleShape({ inputs, symbols }: ModelGraph): string {
  const shape = inputs.find(({ role }) => role === 'data')?.shape.slice(1) ?? [];
  return shape.map((size) => symbols[size as 'S' | 'H' | 'W']?.default ?? size).join('x');
}

/** All and the trainable ones. */
function countParameters({ parameters }: ModelGraph): [number, number] {
  const count = (list: ModelGraph['parameters']): number => list.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  return [count(parameters), count(parameters.filter(({ trainable }) => trainable !== false))];
}

/** "25.6 M". */
function formatCount(count: number): string {
  const [unit, size] = count >= 1e9 ? ['B', 1e9] : count >= 1e6 ? ['M', 1e6] : count >= 1e3 ? ['k', 1e3] : ['', 1];
  return `${(count / size).toPrecision(3)}${unit && ` ${unit}`}`;
}
