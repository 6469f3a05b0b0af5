/** Runs a program's forward pass and lets go of every result after its last use, as PyTorch does. */
import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import type { SymbolValues } from '../../../model/sizes.js';
import { type Bindings, Call, UnsupportedError } from './call.js';
import type { Program } from './program.js';
import { plain, shapeOf, type TF, type Value } from './value.js';

export interface ForwardResult {
  loss: Tensor;
  /** What the model's call returns to the training loop. */
  outputs: Tensor[];
}

/** `persistent` holds parameters, buffers and inputs, which outlive the pass. */
export function runForward(
  tf: TF,
  program: Program,
  persistent: ReadonlyMap<string, Value>,
  buffers: ReadonlyMap<string, Variable>,
  symbols: SymbolValues,
): ForwardResult {
  const values = new Map(persistent);
  const pinned = new Set([...persistent.values()].map((value) => value.tensor.id));
  const holders = new Map<number, number>();

  function release(name: string): void {
    const tensor = values.get(name)?.tensor;
    if (!tensor || pinned.has(tensor.id)) return;
    values.delete(name);
    const left = (holders.get(tensor.id) ?? 1) - 1;
    holders.set(tensor.id, left);
    // What a gradient needs was saved as a clone that shares the memory.
    if (left === 0) tensor.dispose();
  }

  function bind(name: string, value: Value): void {
    if (!pinned.has(value.tensor.id)) holders.set(value.tensor.id, (holders.get(value.tensor.id) ?? 0) + 1);
    release(name);
    values.set(name, value);
  }

  const bindings: Bindings = {
    get: (name) => values.get(name) ?? missing(name),
    updateBuffer: (name, tensor) => buffers.get(name)?.assign(tensor as never),
  };

  for (const { node, operation, finished } of program.steps) {
    const call = new Call(tf, node, bindings, symbols);
    const results = withinScope(tf, () => {
      const result = operation.run(call);
      return Array.isArray(result) ? result : [result];
    });
    results.forEach((result, at) => {
      const name = node.outputs[at];
      if (name) bind(name, result);
      else if (!pinned.has(result.tensor.id) && !holders.has(result.tensor.id)) result.tensor.dispose();
    });
    const target = operation.inPlace ? call.buffer(0) : null;
    const written = results[0];
    if (target && written) {
      if (buffers.has(target)) bindings.updateBuffer(target, written.tensor);
      else if (persistent.has(target)) throw new UnsupportedError(`${node.op} writes to "${target}", which is no result of the graph`);
      else bind(target, written);
    }
    finished.forEach(release);
  }
  const loss = bindings.get(program.graph.loss);
  if (shapeOf(loss).reduce((product, size) => product * size, 1) !== 1) {
    throw new UnsupportedError(`the loss "${program.graph.loss}" is not one number: its shape is [${shapeOf(loss)}]`);
  }
  return {
    loss: tf.reshape(plain(tf, loss), []),
    outputs: program.graph.outputs.map((name) => bindings.get(name).tensor),
  };
}

/** tf.tidy for values: everything an operator makes on its way goes, its results stay. */
function withinScope(tf: TF, run: () => Value[]): Value[] {
  let results: Value[] = [];
  tf.tidy(() => {
    results = run();
    return results.map((result) => result.tensor);
  });
  return results;
}

function missing(name: string): never {
  throw new UnsupportedError(`the graph uses "${name}" before anything makes it`);
}
