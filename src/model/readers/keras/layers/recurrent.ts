/**
 * Recurrent layers as the fused call that TensorFlow makes of them on a GPU: with tanh and sigmoid, without recurrent
 * dropout (keras/src/backend/tensorflow/rnn.py). Kernels are [gates, features] here, [features, gates] in Keras.
 */
import type { GraphBuilder, Value } from '../../../builder.js';
import type { Size } from '../../../graph.js';
import { add, div, mul } from '../../../ops/elementwise.js';
import { filled } from '../../../ops/layers.js';
import { cat, select } from '../../../ops/views.js';
import { activationName } from '../activations.js';
import { isMapping, readLayer } from '../document.js';
import { type Fields, layerError, unsupportedLayer } from '../fields.js';
import { expectRank, known, type Layer, type LayerCall, only } from '../layer.js';
import { dropParts } from './activation.js';

interface Cell {
  op: (fields: Fields) => string;
  gates: number;
  states: number;
}

const CELLS: Record<string, Cell> = {
  LSTM: { op: () => 'aten.lstm.input', gates: 4, states: 2 },
  GRU: { op: () => 'aten.gru.input', gates: 3, states: 1 },
  SimpleRNN: {
    op: (fields) => (activationName(fields.raw('activation') ?? 'tanh') === 'relu' ? 'aten.rnn_relu.input' : 'aten.rnn_tanh.input'),
    gates: 1,
    states: 1,
  },
};

function refuseUnfused({ fields, place }: LayerCall, kind: string): void {
  const activation = activationName(fields.raw('activation') ?? 'tanh');
  const recurrent = kind === 'SimpleRNN' ? 'sigmoid' : activationName(fields.raw('recurrent_activation') ?? 'sigmoid');
  const plain = activation === 'tanh' || (kind === 'SimpleRNN' && activation === 'relu');
  if (!plain) throw unsupportedLayer(place, `activation "${activation}": only the fused layer with tanh is supported`);
  if (!recurrent.endsWith('sigmoid')) throw unsupportedLayer(place, `recurrent_activation "${recurrent}": only sigmoid is supported`);
  if (fields.number('recurrent_dropout', 0) > 0) throw unsupportedLayer(place, 'recurrent_dropout is not supported');
}

/** [weights of the input, weights of the state, and a bias for each]: Keras has one but for a GRU that resets after. */
function weightsOf({ g, fields, weight }: LayerCall, kind: string, features: number, gates: number, units: number): Value[] {
  const kernels = [weight('kernel', [gates, features]), weight('recurrent_kernel', [gates, units])];
  if (!fields.flag('use_bias', true)) return kernels;
  if (kind === 'GRU' && fields.raw('reset_after') !== false) {
    const both = weight('bias', [2, gates]);
    return [...kernels, select(g, both, 0, 0), select(g, both, 0, 1)];
  }
  return [...kernels, weight('bias', [gates]), filled(g, 'aten.zeros', [gates], 'model')];
}

const recurrent =
  (kind: string): Layer =>
  (call) => {
    const { g, fields, place } = call;
    const { op, gates, states } = CELLS[kind] as Cell;
    const input = only(call);
    expectRank(input, 3, place);
    refuseUnfused(call, kind);
    const [batch, steps, features] = input.shape as [Size, Size, Size];
    const units = fields.integer('units');
    const weights = weightsOf(call, kind, known(features, place), gates * units, units);
    const rate = fields.number('dropout', 0);
    const dropped = rate > 0 ? dropParts(g, input, [batch, 1, features], rate) : input;
    const x = fields.flag('go_backwards', false) ? reverse(g, dropped) : dropped;
    const state = { shape: [1, batch, units], dtype: x.dtype };
    const given = call.inputs.slice(1, 1 + states);
    const start = Array.from({ length: states }, (_, index) =>
      given[index] ? g.call('aten.unsqueeze', [given[index], 0], state) : filled(g, 'aten.zeros', state.shape, x.dtype),
    );
    // (input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)
    const results = g.callMany(
      op(fields),
      [x, states === 1 ? (start[0] as Value) : start, weights, weights.length > 2, 1, 0, true, false, true],
      [{ shape: [batch, steps, units], dtype: x.dtype }, ...start.map(() => state)],
    );
    const [all, ...last] = results as [Value, ...Value[]];
    const out = fields.flag('return_sequences', false) ? all : select(g, all, 1, -1);
    if (!fields.flag('return_state', false)) return out;
    return [out, ...last.map((each) => select(g, each, 0, 0))];
  };

function reverse(g: GraphBuilder, x: Value): Value {
  return g.call('aten.flip', [x, [1]], x);
}

/** The layer forward and, with weights of its own, backward in time; what the second gives is turned round again. */
const bidirectional: Layer = (call) => {
  const { g, fields, place } = call;
  const x = only(call);
  const raw = fields.raw('layer');
  if (!isMapping(raw)) throw layerError(place, 'layer: missing, expected a recurrent layer');
  const forward = readLayer(raw, place.file, `${place.path}.config.layer`);
  if (!Object.hasOwn(CELLS, forward.place.className)) throw unsupportedLayer(place, `layer: ${forward.place.className} is not supported`);
  if (forward.config.return_state === true) throw unsupportedLayer(place, 'return_state is not supported');
  const given = fields.raw('backward_layer');
  const second = isMapping(given) ? readLayer(given, place.file, `${place.path}.config.backward_layer`) : forward;
  const name = second === forward ? `backward_${forward.place.name}` : second.place.name;
  const config = { ...second.config, go_backwards: forward.config.go_backwards !== true };
  const backward = { ...second, place: { ...second.place, name }, config };
  const [ahead] = call.call(forward, [x]) as [Value];
  const [turned] = call.call(backward, [x]) as [Value];
  const back = forward.config.return_sequences === true ? reverse(g, turned) : turned;
  const mode = fields.raw('merge_mode') === null ? null : fields.text('merge_mode', ['concat', 'sum', 'mul', 'ave'], 'concat');
  if (mode === null) return [ahead, back];
  if (mode === 'concat') return cat(g, [ahead, back], ahead.shape.length - 1);
  if (mode === 'mul') return mul(g, ahead, back);
  return mode === 'sum' ? add(g, ahead, back) : div(g, add(g, ahead, back), 2);
};

export const RECURRENT_LAYERS: Record<string, Layer> = {
  LSTM: recurrent('LSTM'),
  GRU: recurrent('GRU'),
  SimpleRNN: recurrent('SimpleRNN'),
  Bidirectional: bidirectional,
};
