/** Modules of an ONNX graph: PyTorch's exporters put the path of each call into the names of the nodes. */
import type { GraphBuilder } from '../../builder.js';
import type { Node } from './document.js';

/** "/layer1/layer1.0/conv1/Conv" is in layer1.0.conv1: a scope repeats the one before it where it is a list's. */
export function modulePath(name: string): string[] {
  const path: string[] = [];
  for (const scope of name.split('/').slice(1, -1)) {
    const before = path.at(-1);
    if (before !== undefined && scope.startsWith(`${before}.`)) path[path.length - 1] = scope;
    else path.push(scope);
  }
  return path;
}

/** The path of each node; one without a path, as exporters add them for constants, is where the one before it is. */
function pathsOf(nodes: readonly Node[]): string[][] {
  let path: string[] = [];
  return nodes.map(({ name }) => {
    if (name.startsWith('/')) path = modulePath(name);
    return path;
  });
}

/** Runs `body` on each node inside of its module; neighbours with a common path share its calls. */
export function inModules(g: GraphBuilder, nodes: readonly Node[], body: (node: Node) => void): void {
  const paths = pathsOf(nodes);
  const run = (from: number, to: number, depth: number): void => {
    for (let at = from; at < to; ) {
      const node = nodes[at] as Node;
      const scope = paths[at]?.[depth];
      if (scope === undefined) {
        body(node);
        at++;
        continue;
      }
      let end = at + 1;
      while (end < to && paths[end]?.[depth] === scope) end++;
      const [first, last] = [at, end];
      g.inModule(scope, () => run(first, last, depth + 1));
      at = end;
    }
  };
  run(0, nodes.length, 0);
}
