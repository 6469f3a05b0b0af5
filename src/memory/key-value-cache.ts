/**
 * Keys and values that a language model returns beside its logits. transformers' decoders have `use_cache` on unless their
 * config says otherwise, in training too: a loop that holds on to `outputs` holds every layer's keys and values until the
 * next forward pass returns. xMem's runs of T5 and OPT (torch 2.6) come within 1.3 % with them, and 13 % too low without.
 */
import type { Argument, GraphNode, ModelGraph } from '../model/graph.js';

/** Layers of decoders. */
const DECODER = /^(model\.(decoder\.)?layers|gpt_neox\.layers|decoder\.block|transformer\.h)\./;

/** GPT-2's and its kin's layers: covered where attention is fused; written out, no reading shows what a loop held. */
const FUSED_ALONE = /^transformer\.h\./;

/** Operators that hand a key or value on to attention: views, and copies for heads that share it. */
const PASSED_ON = new Set(['transpose.int', 'expand', 'reshape', 'unsqueeze', 'clone', 'contiguous'].map((name) => `aten.${name}`));

/** The graph with the keys and values of its decoder layers among its outputs. */
export function withKeyValueCache(model: ModelGraph): ModelGraph {
  if (model.source.format !== 'hf-config' || model.returnsCache === false) return model;
  const makers = new Map(model.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const cached = new Set<string>();
  for (const node of model.nodes) {
    if (!DECODER.test(node.module)) continue;
    for (const operand of keysAndValues(node)) {
      const name = cachedValue(operand, makers);
      if (name) cached.add(name);
    }
  }
  return cached.size === 0 ? model : { ...model, outputs: [...model.outputs, ...cached] };
}

/** What attention takes as keys and values: of its products written out, each one's second factor. */
function keysAndValues({ op, args, module }: GraphNode): (Argument | undefined)[] {
  if (op === 'aten.scaled_dot_product_attention') return [args[1], args[2]];
  return op === 'aten.matmul' && !FUSED_ALONE.test(module) ? [args[1]] : [];
}

/** The value as it was cached: before heads share it. Null where no node made it. */
function cachedValue(operand: Argument | undefined, makers: ReadonlyMap<string, GraphNode>): string | null {
  if (typeof operand !== 'string' || !operand.startsWith('%')) return null;
  const maker = makers.get(operand.slice(1));
  if (!maker) return null;
  return PASSED_ON.has(maker.op) ? cachedValue(maker.args[0], makers) : operand.slice(1);
}
