/** Small modules that language models are made of, each as one module call with its own weights. */
import { type GraphBuilder, sizes, type Value } from '../builder.js';
import type { Size } from '../graph.js';
import { add, binary, dropout, gelu, mul, toDtype, unary } from '../ops/elementwise.js';
import { embedding, layerNorm, linear } from '../ops/layers.js';
import { reduce, view } from '../ops/views.js';

/** nn.Linear: weight [outputs, inputs]. */
export function linearModule(g: GraphBuilder, name: string, x: Value, outputs: number, bias = true): Value {
  const inputs = Number(x.shape.at(-1));
  return g.inModule(name, () => linear(g, x, g.parameter('weight', [outputs, inputs]), bias ? g.parameter('bias', [outputs]) : null));
}

/** GPT-2's Conv1D: a linear layer whose weight [inputs, outputs] is transposed, over rows. */
export function conv1dModule(g: GraphBuilder, name: string, x: Value, outputs: number): Value {
  const inputs = Number(x.shape.at(-1));
  return g.inModule(name, () => {
    const rows = view(g, x, [-1, inputs]);
    const weight = g.parameter('weight', [inputs, outputs]);
    const bias = g.parameter('bias', [outputs]);
    const product = g.call('aten.addmm', [bias, rows, weight], { shape: [rows.shape[0] as Size, outputs], dtype: x.dtype });
    return view(g, product, [...x.shape.slice(0, -1), outputs]);
  });
}

export function layerNormModule(g: GraphBuilder, name: string, x: Value, eps = 1e-5, affine = true): Value {
  const features = Number(x.shape.at(-1));
  return g.inModule(name, () => {
    const [weight, bias] = affine ? [g.parameter('weight', [features]), g.parameter('bias', [features])] : [null, null];
    return layerNorm(g, x, [features], weight, bias, eps);
  });
}

/** x / sqrt(mean(x^2) + eps) in float32. */
function normalizeRootMeanSquare(g: GraphBuilder, x: Value, eps: number): Value {
  const square = g.call('aten.pow.Tensor_Scalar', [x, 2], x);
  return mul(g, x, unary(g, 'aten.rsqrt', add(g, reduce(g, 'aten.mean.dim', square, [-1], true), eps)));
}

/** Llama's RMSNorm: float32 inside, back in the input's dtype before the weight. */
export function rmsNormModule(g: GraphBuilder, name: string, x: Value, eps: number): Value {
  return g.inModule(name, () => {
    const normalized = normalizeRootMeanSquare(g, toDtype(g, x, 'float32'), eps);
    g.holdInLocals([normalized]);
    return mul(g, g.parameter('weight', [Number(x.shape.at(-1))]), castLike(g, normalized, x));
  });
}

/** T5's norm: the mean square in float32, the product with the input itself, back in the weight's dtype. */
export function t5NormModule(g: GraphBuilder, name: string, x: Value, eps: number): Value {
  return g.inModule(name, () => {
    const square = g.call('aten.pow.Tensor_Scalar', [toDtype(g, x, 'float32'), 2], { shape: x.shape, dtype: 'float32' });
    const factor = unary(g, 'aten.rsqrt', add(g, reduce(g, 'aten.mean.dim', square, [-1], true), eps));
    const weight = g.parameter('weight', [Number(x.shape.at(-1))]);
    return mul(g, weight, toDtype(g, mul(g, x, factor), 'model'));
  });
}

/** Gemma's RMSNorm: multiplied with 1 + weight in float32, then back in the input's dtype. */
export function gemmaNormModule(g: GraphBuilder, name: string, x: Value, eps: number): Value {
  return g.inModule(name, () => {
    const normalized = normalizeRootMeanSquare(g, toDtype(g, x, 'float32'), eps);
    const weight = add(g, toDtype(g, g.parameter('weight', [Number(x.shape.at(-1))]), 'float32'), 1);
    return castLike(g, mul(g, normalized, weight), x);
  });
}

/** A cast to another value's dtype, which autocast decides at run time: the weights' dtype is not always it. */
export function castLike(g: GraphBuilder, x: Value, like: Value): Value {
  return g.call('aten.type_as', [x, like], { shape: x.shape, dtype: like.dtype });
}

/** nn.Embedding; `padding` is its padding_idx. */
export function embeddingModule(
  g: GraphBuilder,
  name: string,
  ids: Value,
  count: number,
  features: number,
  padding: number | null = null,
): Value {
  return g.inModule(name, () => embedding(g, g.parameter('weight', [count, features]), ids, padding ?? -1));
}

export function dropoutModule(g: GraphBuilder, name: string, x: Value, p: number): Value {
  return g.inModule(name, () => dropout(g, x, p));
}

/** The activations of transformers' ACT2FN that language models name. */
export const ACTIVATIONS = [
  'gelu',
  'gelu_new',
  'gelu_fast',
  'gelu_pytorch_tanh',
  'quick_gelu',
  'relu',
  'silu',
  'swish',
  'tanh',
  'sigmoid',
  'mish',
  'relu2',
  'linear',
] as const;
export type Activation = (typeof ACTIVATIONS)[number];

/** `name` is null where the activation is a function and no module. */
export function activationModule(g: GraphBuilder, name: string | null, x: Value, activation: Activation): Value {
  return name === null ? activate(g, x, activation) : g.inModule(name, () => activate(g, x, activation));
}

function activate(g: GraphBuilder, x: Value, activation: Activation): Value {
  switch (activation) {
    case 'gelu':
      return gelu(g, x);
    case 'gelu_pytorch_tanh':
      return gelu(g, x, 'tanh');
    case 'gelu_new': {
      const half = mul(g, x, 0.5);
      const cube = g.call('aten.pow.Tensor_Scalar', [x, 3], x);
      const inner = mul(g, add(g, x, mul(g, cube, 0.044715)), Math.sqrt(2 / Math.PI));
      return mul(g, half, add(g, unary(g, 'aten.tanh', inner), 1));
    }
    case 'gelu_fast': {
      const half = mul(g, x, 0.5);
      const scaled = mul(g, x, 0.7978845608);
      const inner = mul(g, scaled, add(g, mul(g, mul(g, x, 0.044715), x), 1));
      return mul(g, half, add(g, unary(g, 'aten.tanh', inner), 1));
    }
    case 'quick_gelu':
      return mul(g, x, unary(g, 'aten.sigmoid', mul(g, x, 1.702)));
    case 'relu2':
      return unary(g, 'aten.square', unary(g, 'aten.relu', x));
    case 'swish':
      return unary(g, 'aten.silu', x);
    case 'linear':
      return x;
    default:
      return unary(g, `aten.${activation}`, x);
  }
}

/** [0, 1, ..] as positions [1, length]; the models add the number of cached tokens, 0. */
export function positionIds(g: GraphBuilder, length: Size): Value {
  const range = g.call('aten.arange', sizes([length]), { shape: [length], dtype: 'int64' });
  const positions = binary(g, 'aten.add.Tensor', range, 0);
  return g.call('aten.unsqueeze', [positions, 0], { shape: [1, length], dtype: 'int64' });
}
