/**
 * The graph as it runs with torch.backends.cudnn.benchmark. PyTorch hands every convolution on to aten::_convolution, whose
 * arguments say whether cuDNN is to measure its algorithms and take the fastest (ATen/native/Convolution.cpp).
 */
import type { GraphNode, ModelGraph } from '../model/graph.js';

export function withCudnnBenchmark(model: ModelGraph): ModelGraph {
  return { ...model, nodes: model.nodes.map(measured) };
}

/** Convolutions of planes alone: no other rule asks how cuDNN picks. */
function measured(node: GraphNode): GraphNode {
  const [input = null, weight = null, bias = null, stride = 1, padding = 0, dilation = 1, groups = 1] = node.args;
  if (node.op !== 'aten.conv2d' || typeof padding === 'string') return node;
  const [transposed, outputPadding, benchmark] = [false, 0, true];
  const args = [input, weight, bias, stride, padding, dilation, transposed, outputPadding, groups, benchmark];
  return { ...node, op: 'aten._convolution', args };
}
