/**
 * QLoRA (Dettmers et al. 2023) as bitsandbytes and peft do it: every linear module but the heads holds its weight in
 * four bits with a scale a block of 64, the scales themselves in eight bits with one a block of 256. The product makes
 * the weight again in the type that it computes in, forward and backward (bitsandbytes/autograd/_functions.py,
 * MatMul4Bit; functional.py, quantize_4bit with compress_statistics).
 */
import type { Buffer, GraphNode, ModelGraph, Parameter } from '../graph.js';
import { headWeights } from './heads.js';
import { freshNames, linearCalls, nameOf } from './linears.js';

const BLOCK = 64;
const SCALE_BLOCK = 256;
/** Code books: the sixteen values of four bits, and the 256 of the scales, which all weights share. */
const VALUES = 16;
const SCALE_VALUES = 256;

/** The graph with its frozen linear modules in four bits. */
export function quantizeLinears(graph: ModelGraph): ModelGraph {
  const fresh = freshNames(graph);
  const heads = headWeights(graph);
  const weights = new Map<string, { packed: Parameter; scales: string }>();
  const buffers: Buffer[] = [];
  for (const { weight } of linearCalls(graph)) {
    // Adapters are linear modules too, and trained.
    if (weight.trainable !== false || heads.has(weight.name) || weights.has(weight.name)) continue;
    const values = weight.shape.reduce((a, b) => a * b, 1);
    const blocks = Math.ceil(values / BLOCK);
    const buffer = (part: string, shape: number[], dtype: Buffer['dtype']): string => {
      const name = fresh(`${weight.name}.${part}`);
      buffers.push({ name, shape, dtype });
      return name;
    };
    const scales = buffer('absmax', [blocks], 'uint8');
    buffer('quant_map', [VALUES], 'float32');
    buffer('nested_absmax', [Math.ceil(blocks / SCALE_BLOCK)], 'float32');
    buffer('offset', [], 'float32');
    const packed: Parameter = { ...weight, shape: [Math.ceil(values / 2), 1], dtype: 'uint8', trainable: false, values };
    weights.set(weight.name, { packed, scales });
  }
  if (weights.size > 0) buffers.push({ name: fresh('nested_quant_map'), shape: [SCALE_VALUES], dtype: 'float32' });
  const nodes = graph.nodes.map((node): GraphNode => {
    const isLinear = node.op === 'aten.linear';
    const name = nameOf(node.args[isLinear ? 1 : 2]);
    const found = isLinear || node.op === 'aten.addmm' ? weights.get(name) : undefined;
    if (!found) return node;
    const [rows, columns] = (graph.parameters.find((p) => p.name === name) as Parameter).shape as [number, number];
    const shape = isLinear ? [rows, columns] : [columns, rows];
    const [input = null, bias = null] = isLinear ? [node.args[0], node.args[2]] : [node.args[1], node.args[0]];
    return { ...node, op: 'bitsandbytes.linear_4bit', args: [input, `%${name}`, `%${found.scales}`, shape, bias] };
  });
  const parameters = graph.parameters.map((p) => weights.get(p.name)?.packed ?? p);
  return { ...graph, parameters, buffers: [...graph.buffers, ...buffers], nodes };
}
