/**
 * What one of several devices computes of a model whose layers are split between them, as Megatron-LM does it (Shoeybi
 * et al. 2019, arXiv 1909.08053): the first linear layers of attention and MLP by columns, so heads and hidden units are
 * divided up to the next linear layer, which is split by rows and whose sum is whole again; embedding and logits by
 * vocabulary. What lies between blocks (norms, dropout, residuals) is whole on every device.
 */
import { UsageError } from '../errors.js';
import type { ModelGraph } from '../model/graph.js';
import { pathOf } from '../model/methods/linears.js';
import { DividedValues } from './divided-values.js';
import { valueShapes } from './value-shapes.js';

/** Linear modules that are split by columns, by the names that families give them. */
const COLUMNS = new Set(
  [
    ['q_proj', 'k_proj', 'v_proj', 'qkv_proj', 'query_key_value', 'c_attn'],
    ['gate_proj', 'up_proj', 'gate_up_proj', 'fc1', 'c_fc', 'dense_h_to_4h'],
    ['lm_head', 'embed_out', 'embed_tokens', 'wte', 'word_embeddings', 'embed_in', 'shared'],
  ].flat(),
);
/** Primes, so that neither is taken for a number of heads. */
const BATCH = 1009;
const LENGTH = 17;

const made = new WeakMap<ModelGraph, Map<number, ModelGraph>>();

/** The graph of one of `ways` devices. Throws UsageError where the model's layers are not known or cannot be divided so. */
export function splitGraph(graph: ModelGraph, ways: number): ModelGraph {
  if (ways === 1) return graph;
  const known = made.get(graph) ?? new Map<number, ModelGraph>();
  made.set(graph, known);
  const found = known.get(ways) ?? split(graph, ways);
  known.set(ways, found);
  return found;
}

function split(graph: ModelGraph, ways: number): ModelGraph {
  const columns = graph.parameters.filter(({ name, shape }) => shape.length <= 2 && splitsColumns(name));
  const heads = columns.some(({ name }) => /\.(q_proj|qkv_proj|query_key_value|c_attn)\.\w+$/.test(name));
  if (!heads || graph.parameters.some(({ shape, values }) => shape.length > 2 || values !== undefined)) {
    throw new UsageError(
      'NOT_COVERED',
      `--tensor-parallel ${ways}: ${graph.name} has no layers that are known to be split between devices`,
      'it is for decoders (llama, mistral, qwen, gemma, gpt2, gpt_neox, opt, phi) with all of their weights in floating point',
    );
  }
  const S = graph.symbols.S;
  const fits = S && LENGTH >= (S.min ?? 1) && LENGTH <= (S.max ?? LENGTH) && LENGTH % (S.multipleOf ?? 1) === 0;
  const shapes = valueShapes(graph, { B: BATCH, ...(S && { S: fits ? LENGTH : S.default }) });
  const divided = new DividedValues(graph, shapes, ways);
  // A Conv1D holds its weight the other way round: its columns are the last dimension.
  const turned = new Set(graph.nodes.flatMap(({ op, args }) => (op === 'aten.addmm' ? [String(args[2]).slice(1)] : [])));
  for (const { name } of columns) divided.divide(name, turned.has(name) ? 1 : 0);
  const nodes = graph.nodes.map((node) => divided.run(node));
  return {
    ...graph,
    nodes,
    parameters: graph.parameters.map((p) => ({ ...p, shape: divided.shapeOf(p.name, p.shape) })),
    buffers: graph.buffers.map((b) => ({ ...b, shape: divided.shapeOf(b.name, b.shape) })),
  };
}

/** "layers.0.mlp.up_proj.weight"; an adapter's second factor is split as the module that it adds to. */
function splitsColumns(name: string): boolean {
  if (name.includes('.lora_A.')) return false;
  const module = pathOf(name.replace(/(\.lora_B\.default)?\.\w+$/, ''));
  return COLUMNS.has(module.split('.').at(-1) as string);
}
