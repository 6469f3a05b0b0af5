/** The shapes of all values of a graph, read off a run of its forward pass without values. */
import type { Argument, ModelGraph, Size } from '../model/graph.js';
import { bindSizes, type SymbolValues } from '../model/sizes.js';
import { call, type Named, type Value } from './registry.js';
import { Session } from './session.js';
import type { Tensor } from './tensor.js';

/** Shapes by name, for values of the graph's symbols. Throws for operators without a rule. */
export function valueShapes(graph: ModelGraph, symbols: SymbolValues): Map<string, readonly number[]> {
  const s = new Session({
    ...{ modelType: 'float32', autocast: null, attention: 'auto', capability: 80, outOfPlaceSums: false, selective: false },
  });
  const size = bindSizes(symbols);
  const values = new Map<string, Tensor>();
  const make = ({ name, shape, dtype = 'model' }: { name: string; shape: readonly Size[]; dtype?: string | undefined }): void => {
    const type = dtype === 'model' ? 'float32' : (dtype as Tensor['type']);
    values.set(name, s.take(s.empty(shape.map(size), type)));
  };
  for (const each of [...graph.parameters, ...graph.buffers, ...graph.inputs]) make(each);
  for (const { name, aliases = [] } of graph.parameters) for (const alias of aliases) values.set(alias, values.get(name) as Tensor);
  const resolve = (argument: Argument): Value => {
    if (Array.isArray(argument)) return argument.map(resolve);
    if (typeof argument !== 'string') return argument;
    if (argument.startsWith('=')) return size(argument.slice(1));
    return argument.startsWith('%') ? (values.get(argument.slice(1)) ?? null) : argument;
  };
  s.withoutGradients(() => {
    for (const { op, args, kwargs = {}, outputs } of graph.nodes) {
      const named: Named = {};
      for (const [name, argument] of Object.entries(kwargs)) named[name] = resolve(argument);
      const result = call(s, op, args.map(resolve), named);
      (Array.isArray(result) ? result : [result]).forEach((t, i) => {
        if (t && outputs[i]) values.set(outputs[i], s.take(t));
      });
    }
  });
  return new Map([...values].map(([name, t]) => [name, t.shape]));
}
