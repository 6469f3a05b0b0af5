/** The loss on an ONNX graph's first output, which no file names. */
import { UsageError, type Warning } from '../../../errors.js';
import type { Value } from '../../builder.js';
import { crossEntropy } from '../../ops/layers.js';
import { reshape } from '../../ops/views.js';
import type { Context } from './context.js';

interface Loss {
  loss: Value;
  outputs: Value[];
  assumptions: Warning[];
}

/**
 * Cross entropy for [batch, classes] and, where tokens go in, for [batch, length, vocabulary]; the mean squared error else.
 * Of a softmax at the end the loss takes the input, as trainers do, while the probabilities stay the output.
 */
export function lossOf(c: Context): Loss {
  const { g, document, file } = c;
  const found = document.outputs.map(({ name }) => ({ name, value: c.entries.get(name)?.value }));
  const main = found.find(({ value }) => value?.dtype === 'model');
  if (!main?.value)
    throw new UsageError('BAD_MODEL', `${file}: the graph has no output of numbers that depends on its inputs`, 'export the model again');
  const outputs = found.flatMap(({ value }) => (value ? [value] : []));
  const last = c.makers.get(main.name);
  const logits = last?.op === 'Softmax' ? c.tensor(last, 0) : main.value;
  const { shape } = logits;
  const classes = shape.at(-1);
  const tokens = new Set([...document.initializers.values()].filter((each) => each.shape.length === 2).map((each) => each.shape[0]));
  const classifies =
    typeof classes === 'number' && classes > 1 && (shape.length === 2 || (shape.length === 3 && tokens.has(classes) && takesTokens(c)));
  const assumptions = [
    {
      code: 'ASSUMED_LOSS',
      message: `an ONNX file names no loss: ${classifies ? 'cross entropy' : 'mean squared error'} on its output "${main.name}"`,
      hint: 'a .yaml spec says its loss',
    },
  ];
  if (!classifies) {
    const target = g.input('target', [...shape], 'model', 'target');
    return { loss: g.call('aten.mse_loss', [main.value, target], { shape: [], dtype: 'model' }), outputs, assumptions };
  }
  const labels = g.input('labels', shape.slice(0, -1), 'int64', 'target', classes);
  const flat = shape.length === 2 ? [logits, labels] : [reshape(g, logits, [-1, classes]), reshape(g, labels, [-1])];
  return { loss: crossEntropy(g, flat[0] as Value, flat[1] as Value), outputs, assumptions };
}

function takesTokens({ document }: Context): boolean {
  return document.inputs.some(({ dtype }) => dtype === 'int64' || dtype === 'int32');
}
