/** What the plan has to know of a model beside its memory, read from its graph. */
import type { DType, ModelGraph } from '../model/graph.js';
import { evaluateSize, type SymbolValues } from '../model/sizes.js';
import type { Bytes } from '../units.js';
import type { Task } from './recipe.js';

export interface ModelFacts {
  name: string;
  parameters: number;
  trainableParameters: number;
  task: Task | null;
  /** Has a batch norm that takes its statistics from the micro batch. */
  batchNorm: boolean;
  /** Its loss compares the samples of a batch with each other. */
  contrastive: boolean;
  /** Tokens per sample; null for models that do not read tokens. */
  sequence: number | null;
  /** Bytes of one sample with its target as the loader hands it over; null when the graph does not say. */
  sampleBytes: Bytes | null;
}

const BYTES: Record<DType, number> = {
  model: 4,
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint8: 1,
  bool: 1,
  complex64: 8,
};
const CONTRASTIVE_NAME = /clip|siglip|simclr|moco|contrastive/i;

/** Reads the facts at the sizes that are the graph's defaults. */
export function readModelFacts(graph: ModelGraph): ModelFacts {
  const sizes: SymbolValues = { B: 1 };
  for (const symbol of ['S', 'H', 'W'] as const) if (graph.symbols[symbol]) sizes[symbol] = graph.symbols[symbol].default;
  const elements = (shape: ModelGraph['inputs'][number]['shape']) =>
    shape.reduce<number>((product, size) => product * evaluateSize(size, sizes), 1);
  const count = (parameters: ModelGraph['parameters']) => parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const tokens = graph.inputs.find(
    ({ role, dtype, shape }) => role === 'data' && (dtype === 'int64' || dtype === 'int32') && shape.length === 2,
  );
  const contrastive = CONTRASTIVE_NAME.test(graph.name);
  return {
    name: graph.name,
    parameters: count(graph.parameters),
    trainableParameters: count(graph.parameters.filter(({ trainable }) => trainable !== false)),
    task: contrastive ? 'contrastive' : taskOf(graph, tokens !== undefined),
    batchNorm: graph.nodes.some(({ op }) => op.includes('batch_norm')),
    contrastive,
    sequence: tokens === undefined ? null : elements(tokens.shape),
    sampleBytes: graph.inputs.length === 0 ? null : graph.inputs.reduce((sum, { shape, dtype }) => sum + elements(shape) * BYTES[dtype], 0),
  };
}

/** Language models are told apart by their target (a class a sample, or a token a position) and by causal attention. */
function taskOf(graph: ModelGraph, readsTokens: boolean): Task | null {
  const target = graph.inputs.find(({ role }) => role === 'target');
  if (!readsTokens) {
    const image = graph.inputs.some(({ role, shape }) => role === 'data' && shape.length === 4);
    return image && target?.shape.length === 1 ? 'image-classification' : null;
  }
  if (target?.shape.length === 1) return 'sequence-classification';
  return isCausal(graph) ? 'language-model' : 'masked-language-model';
}

/** scaled_dot_product_attention(query, key, value, mask, dropout, is_causal), or a triangular mask made by hand. */
function isCausal({ nodes }: ModelGraph): boolean {
  return nodes.some(({ op, args, kwargs }) => {
    if (/^aten\.(tril|triu)/.test(op)) return true;
    return op.startsWith('aten.scaled_dot_product_attention') && (args[5] === true || kwargs?.is_causal === true);
  });
}
