/**
 * Models are mostly layers that repeat. A folded graph has KEPT layers of each such run: what one in the middle does to
 * memory and with kernels, every layer in the middle does, and unfolding.ts lays it out for all of them.
 */
import type { Argument, GraphNode, ModelGraph } from '../model/graph.js';
import { GraphIndex } from './layer-comparison.js';
import { endOf, KEPT, lastOfMiddle, layerAt, layerCode, type Run, runsOf, TEMPLATE, wholeLayer } from './repeats.js';

export interface Folding {
  whole: ModelGraph;
  graph: ModelGraph;
  runs: Run[];
  /** For each node of the folded graph its layerCode, or -1 outside of runs. */
  layerOf: Int32Array;
  /** For each node of the folded graph the whole one's that it is. */
  origins: Int32Array;
}

const made = new WeakMap<ModelGraph, Folding | null>();

/** A graph's folding; null where no layers repeat. */
export function foldingOf(graph: ModelGraph): Folding | null {
  const known = made.get(graph);
  if (known !== undefined) return known;
  const folding = fold(graph);
  made.set(graph, folding);
  return folding;
}

function fold(graph: ModelGraph): Folding | null {
  const index = new GraphIndex(graph);
  const runs = runsOf(graph, index);
  return runs.length > 0 ? { whole: graph, runs, ...foldedGraph(graph, index, runs) } : null;
}

function foldedGraph(graph: ModelGraph, index: GraphIndex, runs: readonly Run[]): Pick<Folding, 'graph' | 'layerOf' | 'origins'> {
  const nodes: GraphNode[] = [];
  const layerOf: number[] = [];
  const origins: number[] = [];
  const dropped = new Set<string>();
  const droppedParameters = new Set<number>();
  const droppedBuffers = new Set<number>();
  let at = 0;
  const copyTo = (end: number): void => {
    for (; at < end; at++) {
      nodes.push(graph.nodes[at] as GraphNode);
      layerOf.push(-1);
      origins.push(at);
    }
  };
  runs.forEach((run, r) => {
    copyTo(run.first);
    for (let kept = 0; kept < KEPT; kept++) {
      const start = run.first + wholeLayer(run, kept) * run.length;
      const joins = kept === TEMPLATE + 1;
      for (let i = start; i < start + run.length; i++) {
        const node = graph.nodes[i] as GraphNode;
        nodes.push(joins ? rejoined(graph, index, node, run) : node);
        layerOf.push(layerCode(r, kept));
        origins.push(i);
      }
    }
    at = endOf(run);
    for (let layer = TEMPLATE + 1; layer <= lastOfMiddle(run); layer++) {
      for (const i of run.parameters[layer] ?? []) droppedParameters.add(i);
      for (const i of run.buffers[layer] ?? []) droppedBuffers.add(i);
      const start = run.first + layer * run.length;
      for (let i = start; i < start + run.length; i++) for (const name of graph.nodes[i]?.outputs ?? []) dropped.add(name);
    }
  });
  copyTo(graph.nodes.length);
  const modules = [...new Set(nodes.map(({ module }) => module))];
  const isKept = (value: string): boolean => !dropped.has(value.replace(/^%/, ''));
  const folded: ModelGraph = {
    ...graph,
    nodes,
    parameters: graph.parameters.filter((_, i) => !droppedParameters.has(i)),
    buffers: graph.buffers.filter((_, i) => !droppedBuffers.has(i)),
    outputs: graph.outputs.filter(isKept),
    checkpoints: graph.checkpoints.filter((path) => modules.some((m) => m === path || m.startsWith(`${path}.`))),
    ...(graph.locals && { locals: graph.locals.filter(([value]) => isKept(value)) }),
    ...(graph.recomputedLeaves && { recomputedLeaves: graph.recomputedLeaves.filter(isKept) }),
  };
  return { graph: folded, layerOf: Int32Array.from(layerOf), origins: Int32Array.from(origins) };
}

/** A node of the first layer after the middle, reading what the template made. */
function rejoined(graph: ModelGraph, index: GraphIndex, node: GraphNode, run: Run): GraphNode {
  const apart = (lastOfMiddle(run) - TEMPLATE) * run.length;
  const joined = (a: Argument): Argument => {
    if (Array.isArray(a)) return a.map(joined);
    const maker = typeof a === 'string' && a.startsWith('%') ? index.makers.get(a.slice(1)) : undefined;
    if (!maker || layerAt(run, maker.node) !== lastOfMiddle(run)) return a;
    return `%${graph.nodes[maker.node - apart]?.outputs[maker.output]}`;
  };
  const kwargs = node.kwargs && Object.fromEntries(Object.entries(node.kwargs).map(([key, a]) => [key, joined(a)]));
  return { ...node, args: node.args.map(joined), ...(kwargs && { kwargs }) };
}
