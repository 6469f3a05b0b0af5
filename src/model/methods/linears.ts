/** Calls of linear modules in a graph: nn.Linear, and the Conv1D of GPT-2 (the same with a transposed weight). */
import type { Argument, ModelGraph, Parameter } from '../graph.js';

export interface LinearCall {
  /** Path of the module call. */
  module: string;
  /** Indices of its first node, and of the node that makes its result. */
  start: number;
  end: number;
  weight: Parameter;
  bias: string;
  input: string;
  inFeatures: number;
  outFeatures: number;
}

/** Every call of a module that is one matrix product with its own weight, in the order of the forward pass. */
export function linearCalls(graph: ModelGraph): LinearCall[] {
  const weights = new Map(graph.parameters.flatMap((p) => [p.name, ...(p.aliases ?? [])].map((name) => [name, p] as const)));
  return graph.nodes.flatMap((node, at): LinearCall[] => {
    const isLinear = node.op === 'aten.linear';
    if (!isLinear && node.op !== 'aten.addmm') return [];
    const weight = weights.get(nameOf(node.args[isLinear ? 1 : 2]));
    if (weight?.shape.length !== 2 || ![weight.name, ...(weight.aliases ?? [])].includes(`${pathOf(node.module)}.weight`)) return [];
    let [start, end] = [at, at];
    while (!isLinear && graph.nodes[start - 1]?.module === node.module) start--;
    while (!isLinear && graph.nodes[end + 1]?.module === node.module) end++;
    const input = nameOf(graph.nodes[start]?.args[0]);
    const bias = nameOf(node.args[isLinear ? 2 : 0]);
    const [rows, columns] = weight.shape as [number, number];
    const [outFeatures, inFeatures] = isLinear ? [rows, columns] : [columns, rows];
    return [{ module: node.module, start, end, weight, bias, input, inFeatures, outFeatures }];
  });
}

/** The value that an argument names, "" where it is none. */
export function nameOf(argument: Argument | undefined): string {
  return typeof argument === 'string' && argument.startsWith('%') ? argument.slice(1) : '';
}

/** A module's own path: a second call ("layer@1") is the same module, and so is what an adapter is wrapped around. */
export function pathOf(module: string): string {
  return module.replace(/@\d+|\.base_layer$/g, '');
}

/** Names that nothing in the graph has yet. */
export function freshNames(graph: ModelGraph): (base: string) => string {
  const used = new Set([...graph.parameters, ...graph.buffers, ...graph.inputs].map((v) => v.name));
  for (const node of graph.nodes) for (const name of node.outputs) used.add(name);
  return (base) => {
    let name = base;
    for (let i = 1; used.has(name); i++) name = `${base}_${i}`;
    used.add(name);
    return name;
  };
}
