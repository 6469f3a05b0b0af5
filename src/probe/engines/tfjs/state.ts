/** What lives through a whole trial: parameters, buffers and one batch of made-up data. */
import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import type { GraphInput, ModelGraph, Parameter } from '../../../model/graph.js';
import { evaluateSize, type SymbolValues } from '../../../model/sizes.js';
import { UnsupportedError } from './call.js';
import { toTfDtype } from './ops/pointwise.js';
import { integers, normal } from './random.js';
import { FILTER, identity, plainValue, type TF, type Value } from './value.js';

export interface TrainingState {
  trainable: Variable[];
  buffers: Map<string, Variable>;
  values: Map<string, Value>;
}

/** Numbers for a parameter, buffer or input instead of made-up ones, in the graph's axis order. */
export type GivenValues = Record<string, { shape: number[]; data: Float32Array | Int32Array }>;

export function makeState(tf: TF, graph: ModelGraph, symbols: SymbolValues, given: GivenValues = {}): TrainingState {
  const state: TrainingState = { trainable: [], buffers: new Map(), values: new Map() };
  const filters = filterNames(graph);
  for (const parameter of graph.parameters) {
    const order = filters.has(parameter.name) ? FILTER : identity(parameter.shape.length);
    const trainable = parameter.trainable !== false;
    const start = tf.tidy(() => toOrder(tf, givenTensor(tf, given, parameter.name) ?? initialWeights(tf, parameter), order));
    const variable = tf.variable(start, trainable, parameter.name);
    start.dispose();
    if (trainable) state.trainable.push(variable);
    for (const name of [parameter.name, ...(parameter.aliases ?? [])]) state.values.set(name, { tensor: variable, order });
  }
  for (const buffer of graph.buffers) {
    const dtype = toTfDtype(buffer.dtype);
    // A mask of all true and a variance of 1 are harmless; a position or token type of 0 is always in range.
    const fill = dtype === 'bool' || buffer.name.endsWith('running_var') ? 1 : 0;
    const start = tf.tidy(() => givenTensor(tf, given, buffer.name, dtype) ?? tf.fill(buffer.shape, fill, dtype));
    const variable = tf.variable(start, false, buffer.name);
    start.dispose();
    state.buffers.set(buffer.name, variable);
    state.values.set(buffer.name, plainValue(variable));
  }
  for (const input of graph.inputs) {
    state.values.set(input.name, plainValue(givenTensor(tf, given, input.name, toTfDtype(input.dtype)) ?? makeInput(tf, input, symbols)));
  }
  if (state.trainable.length === 0) throw new UnsupportedError('the model has no trainable parameter');
  return state;
}

/** Weights of convolutions, which are kept as TensorFlow wants filters. */
function filterNames(graph: ModelGraph): Set<string> {
  const names = graph.nodes.filter((node) => /^aten\.conv(_transpose)?2d/.test(node.op)).map((node) => String(node.args[1]).slice(1));
  return new Set(names);
}

function toOrder(tf: TF, tensor: Tensor, order: readonly number[]): Tensor {
  const axes: number[] = [];
  order.forEach((place, axis) => {
    axes[place] = axis;
  });
  return tf.transpose(tensor, axes);
}

function givenTensor(tf: TF, given: GivenValues, name: string, dtype: 'float32' | 'int32' | 'bool' = 'float32'): Tensor | null {
  const numbers = given[name];
  return numbers ? tf.tidy(() => tf.cast(tf.tensor(numbers.data, numbers.shape), dtype)) : null;
}

/** Scales of norms start at 1, biases at 0, weights at a spread of 1/sqrt(inputs), so that signals keep their size. */
function initialWeights(tf: TF, parameter: Parameter): Tensor {
  const { shape, name } = parameter;
  if (shape.length <= 1) return tf.fill(shape, name.endsWith('bias') ? 0 : 1);
  const inputs = shape.slice(1).reduce((product, size) => product * size, 1);
  return normal(tf, shape, Math.min(1 / Math.sqrt(inputs), 0.1));
}

function makeInput(tf: TF, input: GraphInput, symbols: SymbolValues): Tensor {
  const shape = input.shape.map((size) => evaluateSize(size, symbols));
  const dtype = toTfDtype(input.dtype);
  if (dtype === 'float32') return normal(tf, shape, 1);
  if (dtype === 'bool') return tf.ones(shape, 'bool');
  return integers(tf, shape, input.high ?? 2);
}
