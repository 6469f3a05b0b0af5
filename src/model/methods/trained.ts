/** The graph as a method of training changes it: adapters added, weights frozen. */
import { UsageError } from '../../errors.js';
import type { Setup } from '../../setup.js';
import type { ModelGraph } from '../graph.js';
import { headWeights, holdHeadInputs } from './heads.js';
import { addAdapters } from './lora.js';
import { quantizeLinears } from './qlora.js';

const made = new WeakMap<ModelGraph, Map<string, ModelGraph>>();

/** The graph that `setup.method` trains; `graph` itself where all of it is trained. */
export function trainedGraph(graph: ModelGraph, setup: Setup): ModelGraph {
  if (setup.method === 'full') return graph;
  const key = JSON.stringify([setup.method, setup.loraRank, setup.loraTargets, setup.checkpointing, setup.precision]);
  const known = made.get(graph) ?? new Map<string, ModelGraph>();
  made.set(graph, known);
  const found = known.get(key) ?? holdHeadInputs(adapt(graph, setup));
  known.set(key, found);
  return found;
}

function adapt(graph: ModelGraph, setup: Setup): ModelGraph {
  if (setup.method === 'frozen-backbone') return freezeBackbone(graph);
  const options = { rank: setup.loraRank, targets: setup.loraTargets, checkpointing: setup.checkpointing !== 'none' };
  if (setup.method === 'lora') return addAdapters(graph, options);
  return quantizeLinears(addAdapters(graph, { ...options, quantized: { autocast: setup.precision.startsWith('amp') } }));
}

/** Everything but the last weighted layer before the loss keeps its values. */
function freezeBackbone(graph: ModelGraph): ModelGraph {
  const heads = headWeights(graph);
  if (heads.size === 0) {
    throw new UsageError(
      'NO_HEAD',
      `--method frozen-backbone: no layer with weights leads to the loss of ${graph.name}`,
      'use --method full',
    );
  }
  return { ...graph, parameters: graph.parameters.map((p) => (heads.has(p.name) ? p : { ...p, trainable: false })) };
}
