/** A graph made ready to run: every operator found, every result's last use known. Refuses what the engine cannot run. */
import type { Argument, GraphNode, ModelGraph } from '../../../model/graph.js';
import { UnsupportedError } from './call.js';
import { type FoundOperation, findOperation } from './ops/table.js';

export interface Step {
  node: GraphNode;
  operation: FoundOperation;
  /** Values that nothing uses after this step. */
  finished: string[];
}

export interface Program {
  graph: ModelGraph;
  steps: Step[];
}

/** Operators whose result PyTorch lays over its first argument's memory, so that writing to one changes the other. */
const VIEWS = new Set(
  'view reshape view_as flatten unflatten permute transpose t unsqueeze squeeze expand expand_as split split_with_sizes chunk unbind slice select narrow detach alias contiguous'.split(
    ' ',
  ),
);

/** Throws UnsupportedError that names the first operators without an implementation. */
export function prepareProgram(graph: ModelGraph): Program {
  const missing = [...new Set(graph.nodes.filter((node) => !findOperation(node.op)).map((node) => node.op))];
  if (missing.length > 0) {
    const more = missing.length > 5 ? ` and ${missing.length - 5} more` : '';
    throw new UnsupportedError(`the tfjs engine has no ${missing.slice(0, 5).join(', ')}${more}`);
  }
  refuseWritesThroughViews(graph);
  const lastUse = new Map<string, number>();
  graph.nodes.forEach((node, at) => {
    for (const name of [...usedNames(node), ...node.outputs]) lastUse.set(name, at);
  });
  for (const name of [graph.loss, ...graph.outputs]) lastUse.delete(name);
  const finished: string[][] = graph.nodes.map(() => []);
  for (const [name, at] of lastUse) finished[at]?.push(name);
  return {
    graph,
    steps: graph.nodes.map((node, at) => ({ node, operation: findOperation(node.op) as FoundOperation, finished: finished[at] ?? [] })),
  };
}

/** Names of the values that a node reads. */
function usedNames(node: GraphNode): string[] {
  const names: string[] = [];
  const visit = (argument: Argument): void => {
    if (Array.isArray(argument)) argument.forEach(visit);
    else if (typeof argument === 'string' && argument.startsWith('%')) names.push(argument.slice(1));
  };
  node.args.forEach(visit);
  Object.values(node.kwargs ?? {}).forEach(visit);
  return names;
}

/**
 * Tensors of TensorFlow.js never change, so an in-place operator gives its argument a new value. That is the same as in
 * PyTorch unless the memory is also seen through a view that is read later.
 */
function refuseWritesThroughViews(graph: ModelGraph): void {
  const base = new Map<string, string>();
  const baseOf = (name: string) => base.get(name) ?? name;
  const lastRead = new Map<string, number>();
  graph.nodes.forEach((node, at) => {
    for (const name of usedNames(node)) lastRead.set(name, at);
  });
  graph.nodes.forEach((node, at) => {
    const [, name = ''] = node.op.split('.');
    const target = usedNames(node)[0];
    if (target === undefined) return;
    const inPlace = findOperation(node.op)?.inPlace;
    if (inPlace) {
      const shared = [...base.keys(), baseOf(target)].filter((other) => other !== target && baseOf(other) === baseOf(target));
      const read = shared.find((other) => (lastRead.get(other) ?? -1) > at && !node.outputs.includes(other));
      if (read)
        throw new UnsupportedError(`${node.op} writes to memory that "${read}" is a view of, which the tfjs engine does not follow`);
    } else if (VIEWS.has(name)) for (const output of node.outputs) base.set(output, baseOf(target));
  });
}
