/**
 * The one model representation: a training graph of ATen operators as a PyTorch program calls them, before autograd
 * and functionalization. In-place operators stay in place, views stay views, composites (linear,
 * scaled_dot_product_attention, cross_entropy) stay whole. Every model format lowers to this.
 */

import type { Warning } from '../errors.js';

/**
 * A size: a number, or an integer expression over the symbols B (micro batch), S (sequence length), H and W (image
 * height and width) with + - * // % and min() max(), for example "B*197" or "(H-1)//2+1".
 */
export type Size = number | string;

/** `model` is the dtype of the weights: float32, or bfloat16/float16 when training in pure low precision. */
export type DType =
  | 'model'
  | 'float64'
  | 'float32'
  | 'float16'
  | 'bfloat16'
  | 'int64'
  | 'int32'
  | 'int16'
  | 'int8'
  | 'uint8'
  | 'bool'
  | 'complex64';

/**
 * An operator's argument. In strings the first character tells: "%name" is a value of the graph (a parameter, buffer,
 * input or node output), "=expression" an integer Size, anything else a literal (a dtype such as "float32" or "model",
 * an einsum equation, "tanh").
 */
export type Argument = null | boolean | number | string | Argument[];

export interface GraphNode {
  /** ATen name, with the overload where it is not the default one: "aten.conv2d", "aten.add.Tensor". */
  op: string;
  /** Arguments in the order of the ATen schema; trailing ones that equal the schema's default may be left out. */
  args: Argument[];
  /**
   * Keyword-only arguments of the ATen schema (dtype, alpha, generator ...), by name; and "autocast": false where the code
   * turns autocast off for the operator.
   */
  kwargs?: Record<string, Argument>;
  /** Names of the outputs; an operator that returns a list or tuple names every element ("" for an unused one). */
  outputs: string[];
  /**
   * Path of the module call that this node belongs to: "layer1.0.conv1"; a second call of one module has "@1" behind
   * the component ("encoder.layer@1.attention"). "" is the top level (where the loss is).
   */
  module: string;
}

export interface Parameter {
  /** As in `named_parameters()`: "layer1.0.conv1.weight". A tied parameter is listed once, under its first name. */
  name: string;
  shape: number[];
  /** Set where the weight has a dtype of its own; otherwise `model`. */
  dtype?: DType;
  /** Further names of a tied parameter. */
  aliases?: string[];
  /** False when the model freezes it. */
  trainable?: boolean;
  /** How many values it stands for, where several are packed into one of its elements. */
  values?: number;
}

export interface Buffer {
  name: string;
  shape: number[];
  dtype: DType;
}

export interface GraphInput {
  name: string;
  shape: Size[];
  dtype: DType;
  /** `data` goes in as an example, `target` is what the loss compares with. */
  role: 'data' | 'target';
  /** Integer inputs are drawn from [0, high). */
  high?: number;
}

export interface ModelSource {
  /** "profile", "spec", "hf-config", "torch-export" ... */
  format: string;
  /** What was read: a profile's name, a file, "timm:resnet50". */
  reference: string;
  /** Versions that made it ("timm 1.0.31", "torch 2.13.0"), where known. */
  versions?: string[];
}

/** Default and limits of a symbol. `max` is inclusive; a value must be a multiple of `multipleOf`. */
export interface SymbolRange {
  default: number;
  min?: number;
  max?: number;
  multipleOf?: number;
}

export interface ModelGraph {
  format: 'batchfit-graph@1';
  name: string;
  source: ModelSource;
  /** S, H and W where the graph has them; B is always there and has no default. */
  symbols: Partial<Record<'S' | 'H' | 'W', SymbolRange>>;
  parameters: Parameter[];
  buffers: Buffer[];
  inputs: GraphInput[];
  nodes: GraphNode[];
  /** The value that backward starts from. */
  loss: string;
  /** What the model's call returns to the training loop (logits, hidden states): held by `keepOutputs`. */
  outputs: string[];
  /** False where a language model's config turns off the cache of keys and values (`use_cache`). */
  returnsCache?: false;
  /** Module calls that full activation checkpointing recomputes, each one region ("layers.0", "layers.1"). */
  checkpoints: string[];
  /**
   * Values that a variable of the Python code holds past their last use: until a module call returns (its path, "" for the
   * whole model), or until "%value" has been made.
   */
  locals?: [value: string, until: string][];
  /** Values that the code makes leaves with a gradient of their own where it recomputes activations. */
  recomputedLeaves?: string[];
  /** What the reader took for granted because the file does not say it. */
  assumptions?: Warning[];
}
