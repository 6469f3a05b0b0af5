/** Small graphs, written by hand, that between them use every kind of operator. */
import type { Argument, GraphInput, GraphNode, ModelGraph, Parameter } from '../../../src/model/graph.js';

/** PyTorch's largest integer, as a JavaScript number holds it. */
const TO_THE_END = 2 ** 63;

type Line = [op: string, args: Argument[], outputs: string | string[], kwargs?: Record<string, Argument>];

function graph(name: string, parameters: Record<string, number[]>, inputs: GraphInput[], lines: Line[], loss = 'loss'): ModelGraph {
  const nodes = lines.map(([op, args, outputs, kwargs]): GraphNode => {
    const node: GraphNode = { op: `aten.${op}`, args, outputs: [outputs].flat(), module: '' };
    return kwargs ? { ...node, kwargs } : node;
  });
  return {
    format: 'batchfit-graph@1',
    name,
    source: { format: 'spec', reference: name },
    symbols: {},
    parameters: Object.entries(parameters).map(([key, shape]): Parameter => ({ name: key, shape })),
    buffers: [],
    inputs,
    nodes,
    loss,
    outputs: [],
    checkpoints: [],
  };
}

const image: GraphInput = { name: 'x', shape: ['B', 6, 11, 13], dtype: 'model', role: 'data' };
const labels: GraphInput = { name: 'y', shape: ['B'], dtype: 'int64', role: 'target', high: 5 };

/** Paddings, strides, groups and dilations that TensorFlow's kernels do not know, and every way to pool. */
export const convolutions = graph(
  'convolutions',
  {
    plain: [8, 6, 3, 3],
    plainBias: [8],
    strided: [8, 8, 3, 3],
    grouped: [12, 4, 3, 3],
    depthwise: [24, 1, 5, 5],
    dilated: [6, 24, 3, 3],
    narrow: [6, 6, 1, 4],
    uneven: [6, 1, 3, 3],
    head: [5, 24],
    headBias: [5],
  },
  [image, labels],
  [
    ['conv2d', ['%x', '%plain', '%plainBias', [1, 1], [1, 1]], 'a'],
    ['conv2d', ['%a', '%strided', null, [2, 2], [1, 1]], 'b'],
    ['hardswish', ['%b'], 'c'],
    ['conv2d', ['%c', '%grouped', null, [1, 1], [2, 0], [1, 1], 2], 'd'],
    ['conv2d', ['%d', '%depthwise', null, [1, 1], [2, 2], [1, 1], 12], 'e'],
    ['conv2d', ['%e', '%dilated', null, [1, 1], [2, 2], [2, 2]], 'f'],
    ['max_pool2d', ['%f', [3, 3], [2, 2], [1, 1], [1, 1], true], 'g'],
    ['silu', ['%g'], 'h'],
    ['conv2d', ['%h', '%narrow', null, [1, 1], [0, 2]], 'i'],
    ['conv2d', ['%i', '%uneven', null, [2, 1], [1, 1], [1, 1], 6], 'j'],
    ['avg_pool2d', ['%j', [3, 3], [1, 1], [1, 1], false, false], 'k'],
    ['avg_pool2d', ['%k', [2, 2], [1, 1], [1, 1]], 'l'],
    ['adaptive_avg_pool2d', ['%l', [2, 2]], 'm'],
    ['flatten.using_ints', ['%m', 1], 'n'],
    ['linear', ['%n', '%head', '%headBias'], 'logits'],
    ['cross_entropy_loss', ['%logits', '%y', null, 1, -100, 0.1], 'loss'],
  ],
);

/** Images made larger, smaller and longer. */
export const sizes = graph(
  'sizes',
  { stem: [4, 6, 3, 3], up: [4, 3, 3, 3], upBias: [3], taps: [5, 3, 3], head: [5, 5] },
  [image, labels],
  [
    ['conv2d', ['%x', '%stem', null, [2, 2]], 'a'],
    ['conv_transpose2d.input', ['%a', '%up', '%upBias', [2, 2], [1, 1], [1, 1]], 'b'],
    ['upsample_nearest2d.vec', ['%b', [7, 15], null], 'c'],
    ['upsample_bilinear2d.vec', ['%c', null, false, [2.0, 1.5]], 'd'],
    ['upsample_bilinear2d.vec', ['%d', [9, 8], true, null], 'e'],
    ['upsample_bicubic2d.vec', ['%e', [13, 6], false, null], 'f'],
    ['adaptive_avg_pool2d', ['%f', [5, 4]], 'g'],
    ['linalg_vector_norm', ['%g', 2, [1], true], 'norm'],
    ['clamp_min', ['%norm', 0.1], 'norm1'],
    ['expand_as', ['%norm1', '%g'], 'norm2'],
    ['div.Tensor', ['%g', '%norm2'], 'h'],
    ['flatten.using_ints', ['%h', 2], 'i'],
    ['conv1d', ['%i', '%taps', null, [2], [2], [2]], 'j'],
    ['repeat_interleave.self_int', ['%j', 2, 1], 'k'],
    ['addcmul', ['%k', '%k', '%k'], 'l', { value: 0.5 }],
    ['mean.dim', ['%l', [2]], 'm'],
    ['view', ['%m', ['=B', 2, 5]], 'n'],
    ['var.correction', ['%n', [1]], 'o', { correction: 0 }],
    ['linear', ['%o', '%head'], 'logits'],
    ['cross_entropy_loss', ['%logits', '%y'], 'loss'],
  ],
);

/** Layouts: images permuted, flattened, cut and joined, scaled by channel, normalized in groups. */
export const layouts = graph(
  'layouts',
  {
    stem: [8, 6, 3, 3],
    squeeze: [4, 8, 1, 1],
    excite: [8, 4, 1, 1],
    gain: [8],
    groupWeight: [8],
    groupBias: [8],
    lnWeight: [8],
    lnBias: [8],
    mix: [8, 8],
    head: [5, 8],
  },
  [image, labels],
  [
    ['conv2d', ['%x', '%stem', null, [2, 2], [1, 1]], 'a'],
    ['mean.dim', ['%a', [2, 3], true], 'pooled'],
    ['conv2d', ['%pooled', '%squeeze'], 's1'],
    ['relu_', ['%s1'], 's2'],
    ['conv2d', ['%s2', '%excite'], 's3'],
    ['sigmoid', ['%s3'], 's4'],
    ['mul.Tensor', ['%a', '%s4'], 'b'],
    ['group_norm', ['%b', 4, '%groupWeight', '%groupBias'], 'c'],
    ['reshape', ['%gain', [1, -1, 1, 1]], 'gain4'],
    ['mul.Tensor', ['%c', '%gain4'], 'd'],
    ['permute', ['%d', [0, 2, 3, 1]], 'e'],
    ['layer_norm', ['%e', [8], '%lnWeight', '%lnBias', 1e-6], 'f'],
    ['linear', ['%f', '%mix'], 'g'],
    ['gelu', ['%g'], 'h', { approximate: 'tanh' }],
    ['permute', ['%h', [0, 3, 1, 2]], 'i'],
    ['add.Tensor', ['%i', '%b'], 'j', { alpha: 0.5 }],
    ['chunk', ['%j', 2, 1], ['k1', 'k2']],
    ['mul.Tensor', ['%k1', '%k2'], 'k'],
    ['slice.Tensor', ['%j', 1, 2, 6], 'l'],
    ['cat', [['%k', '%l'], 1], 'm'],
    ['roll', ['%m', [1, -2], [2, 3]], 'n'],
    ['flatten.using_ints', ['%n', 2], 'o'],
    ['transpose.int', ['%o', 1, 2], 'p'],
    ['slice.Tensor', ['%p', 1, 0, TO_THE_END, 3], 'q'],
    ['max_pool2d', ['%j', [2, 2]], 'r'],
    ['mean.dim', ['%r', [2, 3]], 's'],
    ['sum.dim_IntList', ['%q', [1]], 't'],
    ['clamp', ['%t', -1.5, 1.5], 'u'],
    ['add.Tensor', ['%s', '%u'], 'v'],
    ['linear', ['%v', '%head'], 'logits'],
    ['log_softmax.int', ['%logits', 1], 'logs'],
    ['nll_loss_nd', ['%logs', '%y'], 'loss'],
  ],
);

const tokens: GraphInput = { name: 'x', shape: ['B', 'S'], dtype: 'int64', role: 'data', high: 11 };
const nextTokens: GraphInput = { name: 'y', shape: ['B', 'S'], dtype: 'int64', role: 'target', high: 11 };

/** A decoder block with grouped queries, rotary angles, RMS norm, a gated MLP and a tied head. */
export const transformer = graph(
  'transformer',
  {
    wte: [11, 16],
    wpe: [32, 16],
    qkv: [16, 32],
    qkvBias: [32],
    proj: [16, 16],
    norm1: [16],
    norm1Bias: [16],
    norm2: [16],
    gate: [24, 16],
    up: [24, 16],
    down: [16, 24],
    norm3: [16],
  },
  [tokens, nextTokens],
  [
    ['embedding', ['%wte', '%x', 3], 'e'],
    ['arange', ['=S'], 'positions', { dtype: 'int64' }],
    ['unsqueeze', ['%positions', 0], 'positions1'],
    ['embedding', ['%wpe', '%positions1'], 'p'],
    ['add.Tensor', ['%e', '%p'], 'h'],
    ['layer_norm', ['%h', [16], '%norm1', '%norm1Bias'], 'a'],
    ['view', ['%a', ['=B*S', 16]], 'a2'],
    ['addmm', ['%qkvBias', '%a2', '%qkv'], 'qkv2'],
    ['view', ['%qkv2', ['=B', '=S', 32]], 'qkv3'],
    ['split_with_sizes', ['%qkv3', [16, 8, 8], 2], ['q', 'k', 'v']],
    ['view', ['%q', ['=B', '=S', 4, 4]], 'q4'],
    ['view', ['%k', ['=B', '=S', 2, 4]], 'k4'],
    ['view', ['%v', ['=B', '=S', 2, 4]], 'v4'],
    ['transpose.int', ['%q4', 1, 2], 'qh'],
    ['transpose.int', ['%k4', 1, 2], 'kh'],
    ['transpose.int', ['%v4', 1, 2], 'vh'],
    ['to.dtype', ['%positions', 'float32'], 'angle1'],
    ['unsqueeze', ['%angle1', 1], 'angle2'],
    ['cos', ['%angle2'], 'cosine'],
    ['sin', ['%angle2'], 'sine'],
    ['slice.Tensor', ['%qh', 3, 0, 2], 'qh1'],
    ['slice.Tensor', ['%qh', 3, 2, TO_THE_END], 'qh2'],
    ['neg', ['%qh2'], 'qh3'],
    ['cat', [['%qh3', '%qh1'], -1], 'turned'],
    ['mul.Tensor', ['%qh', '%cosine'], 'qc'],
    ['mul.Tensor', ['%turned', '%sine'], 'qs'],
    ['add.Tensor', ['%qc', '%qs'], 'qr'],
    ['scaled_dot_product_attention', ['%qr', '%kh', '%vh', null, 0.0, true], 'o', { enable_gqa: true }],
    ['transpose.int', ['%o', 1, 2], 'ot'],
    ['reshape', ['%ot', ['=B', '=S', 16]], 'o3'],
    ['t', ['%proj'], 'projT'],
    ['matmul', ['%o3', '%projT'], 'attention'],
    ['add.Tensor', ['%h', '%attention'], 'h2'],
    ['pow.Tensor_Scalar', ['%h2', 2], 'square'],
    ['mean.dim', ['%square', [-1], true], 'power'],
    ['add.Tensor', ['%power', 1e-5], 'power2'],
    ['rsqrt', ['%power2'], 'inverse'],
    ['mul.Tensor', ['%h2', '%inverse'], 'unit'],
    ['mul.Tensor', ['%norm2', '%unit'], 'n2'],
    ['linear', ['%n2', '%gate'], 'g'],
    ['silu', ['%g'], 'gs'],
    ['linear', ['%n2', '%up'], 'u'],
    ['mul.Tensor', ['%gs', '%u'], 'gu'],
    ['linear', ['%gu', '%down'], 'mlp'],
    ['add.Tensor', ['%h2', '%mlp'], 'h3'],
    ['rms_norm', ['%h3', [16], '%norm3', 1e-6], 'n3'],
    ['linear', ['%n3', '%wte'], 'logits'],
    ['view', ['%logits', [-1, 11]], 'rows'],
    ['view', ['%y', [-1]], 'targets'],
    ['cross_entropy_loss', ['%rows', '%targets', null, 1, 4], 'loss'],
  ],
);

/** An encoder's attention with a padding mask made from the tokens, and a mean squared error. */
export const masked = graph(
  'masked',
  { wte: [11, 8], wpe: [7, 8], scale: [8], out: [3, 8], bias: [3] },
  [tokens, { name: 'y', shape: ['B', 3], dtype: 'model', role: 'target' }],
  [
    ['embedding', ['%wte', '%x'], 'e'],
    ['add.Tensor', ['%e', '%wpe'], 'h'],
    ['ne.Scalar', ['%x', 0], 'present'],
    ['unsqueeze', ['%present', 1], 'present1'],
    ['unsqueeze', ['%present1', 2], 'present2'],
    ['expand', ['%present2', [-1, -1, '=S', -1]], 'mask'],
    ['unsqueeze', ['%h', 1], 'heads'],
    ['scaled_dot_product_attention', ['%heads', '%heads', '%heads', '%mask'], 'o', { scale: 0.5 }],
    ['squeeze.dim', ['%o', 1], 'o1'],
    ['softmax.int', ['%o1', 1], 'weights'],
    ['mul.Tensor', ['%weights', '%scale'], 'scaled'],
    ['unsqueeze', ['%present1', 3], 'rows'],
    ['where.ScalarOther', ['%rows', '%o', 0.0], 'kept'],
    ['select.int', ['%kept', 1, 0], 'kept1'],
    ['add_.Tensor', ['%scaled', '%kept1'], 'sum'],
    ['amax', ['%sum', [1]], 'top'],
    ['gelu', ['%top'], 'act'],
    ['linear', ['%act', '%out', '%bias'], 'answer'],
    ['mse_loss', ['%answer', '%y'], 'loss'],
  ],
);
