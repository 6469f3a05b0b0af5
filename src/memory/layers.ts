/** What each module keeps: its parameters, and the activations that wait for backward when forward is done. */
import type { Bytes } from '../units.js';
import type { StepTrace } from './step.js';

export interface Layer {
  /** Module path; "" is the top level, where the loss is. */
  module: string;
  operators: string[];
  parameters: number;
  parameterBytes: Bytes;
  /** Alive at the end of forward; a tensor that several modules keep counts for the one that made it. */
  activationBytes: Bytes;
}

/** One row a module call that has operators or parameters, in the order of the forward pass. */
export function estimateLayers({ graph: model, ...trace }: StepTrace): Layer[] {
  const layers = new Map<string, Layer>();
  const layerOf = (module: string): Layer => {
    const found = layers.get(module);
    if (found) return found;
    const made = { module, operators: [], parameters: 0, parameterBytes: 0, activationBytes: 0 };
    layers.set(module, made);
    return made;
  };
  for (const node of model.nodes) {
    const layer = layerOf(node.module);
    if (!layer.operators.includes(node.op)) layer.operators.push(node.op);
  }
  model.parameters.forEach((parameter, id) => {
    const layer = layerOf(parameter.name.split('.').slice(0, -1).join('.'));
    layer.parameters += parameter.shape.reduce((a, b) => a * b, 1);
    layer.parameterBytes += trace.bytes[id] as number;
  });
  for (const id of liveAfterForward(trace)) {
    const maker = trace.makers[id] as number;
    if (maker >= 0 && trace.categories[id] === 'activations')
      layerOf(model.nodes[maker]?.module ?? '').activationBytes += trace.bytes[id] as number;
  }
  return [...layers.values()];
}

function liveAfterForward(trace: Pick<StepTrace, 'forward'>): Set<number> {
  const live = new Set<number>();
  for (const event of trace.forward) {
    if (event >= 0) live.add(event);
    else live.delete(-1 - event);
  }
  return live;
}
