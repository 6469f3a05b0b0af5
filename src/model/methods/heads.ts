/** A model's heads: the layers with weights that are nearest to its loss. */
import type { Argument, GraphNode, ModelGraph } from '../graph.js';
import { nameOf } from './linears.js';

/** The nodes with weights behind which only operators without weights lead to the loss. */
export function headNodes(graph: ModelGraph): GraphNode[] {
  const matrices = new Set(graph.parameters.filter((p) => p.shape.length >= 2).map((p) => p.name));
  const makers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const heads = new Set<GraphNode>();
  const seen = new Set<string>();
  const waiting = [graph.loss.replace(/^%/, '')];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    const node = makers.get(name);
    if (!node || seen.has(name)) continue;
    seen.add(name);
    const read = valuesOf(node);
    if (read.some((value) => matrices.has(value))) heads.add(node);
    else waiting.push(...read);
  }
  return [...heads];
}

/** Names of the heads' weights and biases. */
export function headWeights(graph: ModelGraph): Set<string> {
  const parameters = new Set(graph.parameters.map((p) => p.name));
  return new Set(headNodes(graph).flatMap((node) => valuesOf(node).filter((value) => parameters.has(value))));
}

/** Names of the weights at the model's ends, its embeddings and its heads: Muon leaves these to another optimizer. */
export function outerWeights(graph: ModelGraph): Set<string> {
  const embeddings = graph.nodes.filter(({ op }) => op === 'aten.embedding').map(({ args }) => nameOf(args[0]));
  return new Set([...headWeights(graph), ...embeddings]);
}

/**
 * Hugging Face heads hold what the base model returned until their own forward, with the loss, is done. It shows where
 * the head is frozen: nothing else then keeps its input.
 */
export function holdHeadInputs(graph: ModelGraph): ModelGraph {
  const { format, reference } = graph.source;
  if (format !== 'hf-config' && !reference.startsWith('hf:')) return graph;
  const parameters = new Set(graph.parameters.map((p) => p.name));
  const held = headNodes(graph).flatMap((node) => valuesOf(node).filter((value) => !parameters.has(value)));
  const hold = held.map((value): GraphNode => ({ op: 'aten.detach', args: [`%${value}`], outputs: [''], module: '' }));
  return { ...graph, nodes: [...graph.nodes, ...hold] };
}

function valuesOf(node: GraphNode): string[] {
  return (node.args.flat(2) as Argument[]).map(nameOf).filter((name) => name !== '');
}
