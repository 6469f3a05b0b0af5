/**
 * Recurrent layers as cuDNN runs them (ATen/native/cudnn/RNN.cpp): one call for all layers and steps, which keeps its
 * input, its output, the weights and a reserve space. cuDNN does not say what the reserve holds; it is taken to be what
 * the backward formulas need of each step, layer and direction: the gates, and the cell of an LSTM.
 */
import { ELEMENT_BYTES } from '../dtype.js';
import { define, type Rule, type Value } from '../registry.js';
import { contiguousStrides, isContiguous, product, type Tensor } from '../tensor.js';
import { flag, number, tensor, tensors } from './arguments.js';
import { castTo, clone, transpose } from './core.js';

interface Cell {
  name: string;
  /** Values of the hidden size that a step leaves for backward. */
  reserve: number;
  /** Hidden states beside the output: h, and c for an LSTM. */
  states: 1 | 2;
}

/** (input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first) */
function recurrent(cell: Cell): Rule {
  return (s, args) => {
    const autocast = s.autocastType;
    const cast = (t: Tensor): Tensor => (autocast && t.type === 'float32' ? castTo(s, t, autocast) : t);
    const given = cast(tensor(args[0]));
    const states = tensors(args[1] as Value).map(cast);
    // Under autocast the weights' copies lie in one flat buffer, which autograd sees as their views.
    const weights = tensors(args[2] as Value).map(cast);
    const [layers, bidirectional, batchFirst] = [number(args[4]), flag(args[7]), flag(args[8])];
    const directions = bidirectional ? 2 : 1;
    const seen = batchFirst ? transpose(s, given, 0, 1) : given;
    // cuDNN reads rows step by step: a batch-first input is copied for the call.
    if (!isContiguous(seen)) s.withoutGradients(() => clone(s, seen, contiguousStrides(seen.shape)));
    const [steps, batch] = [seen.size(0), seen.size(1)];
    const hidden = (states[0] as Tensor).size(-1);
    const out = s.empty([steps, batch, hidden * directions], given.type);
    const last = states.map((state) => s.empty(state.shape, state.type));
    const reserve = s.empty([cell.reserve * steps * batch * hidden * layers * directions * ELEMENT_BYTES[given.type]], 'uint8');
    const result = batchFirst ? s.alias(out, [batch, steps, out.size(2)], [out.strides[1], out.strides[0], 1] as number[]) : out;
    s.tape.countKernel('matrix product');
    s.tape.countKernel('recurrent layer');
    s.record(
      cell.name,
      [given, ...states, ...weights],
      [result, ...last],
      [given, ...states, out, ...weights, reserve],
      ([grad], needs) => {
        if (!(grad && isContiguous(grad))) s.empty(out.shape, out.type);
        for (let i = 0; i < last.length; i++) s.empty((last[i] as Tensor).shape, out.type);
        if (!isContiguous(seen)) s.empty(seen.shape, given.type);
        const inputGrad = s.empty(seen.shape, given.type);
        const stateGrads = states.map((state) => s.empty(state.shape, state.type));
        // All weights' gradients are views of one flat buffer.
        const flat = s.empty([weights.reduce((sum, w) => sum + w.elements, 0)], given.type);
        const weightGrads = weights.map((w) => s.alias(flat, w.shape, contiguousStrides(w.shape)));
        const turned = batchFirst
          ? s.alias(inputGrad, given.shape, [inputGrad.strides[1], inputGrad.strides[0], 1] as number[])
          : inputGrad;
        return [turned, ...stateGrads, ...weightGrads].map((t, i) => (needs[i] ? t : null));
      },
    );
    return [result, ...last];
  };
}

/** One step of a cell: the products of input and state with their weights, then one kernel that keeps the gates. */
function stepOf(cell: Cell): Rule {
  return (s, args) => {
    const x = tensor(args[0]);
    const states = tensors(args[1] as Value);
    const [h] = states as [Tensor];
    const weights = args.slice(2).filter((w): w is Tensor => typeof w === 'object' && w !== null && !Array.isArray(w));
    const gates = s.empty([x.size(0), cell.reserve * h.size(1)], x.type);
    const next = states.map((state) => s.empty(state.shape, state.type));
    s.tape.countKernel('matrix product');
    s.record(`${cell.name}_cell`, [x, ...states, ...weights], next, [x, ...states, ...weights, gates], (_, needs) => {
      const made = [x, ...states, ...weights].map((t) => s.empty(t.shape, t.type));
      s.empty([product(gates.shape)], gates.type);
      return made.map((t, i) => (needs[i] ? t : null));
    });
    return next.length === 1 ? (next[0] as Tensor) : next;
  };
}

const CELLS: Cell[] = [
  { name: 'lstm', reserve: 5, states: 2 },
  { name: 'gru', reserve: 4, states: 1 },
  { name: 'rnn_tanh', reserve: 1, states: 1 },
  { name: 'rnn_relu', reserve: 1, states: 1 },
];
for (const cell of CELLS) define({ [cell.name]: recurrent(cell), [`${cell.name}_cell`]: stepOf(cell) });
