/**
 * The loss of a Keras model: what its compile() says, else what its last layer suggests. A cross entropy takes what its
 * softmax or sigmoid was computed from, as Keras does, while the probabilities stay the model's output.
 */
import type { Warning } from '../../../errors.js';
import type { GraphBuilder, Value } from '../../builder.js';
import type { Size } from '../../graph.js';
import { add } from '../../ops/elementwise.js';
import { crossEntropy } from '../../ops/layers.js';
import { reshape } from '../../ops/views.js';
import { logitsOf } from './activations.js';
import { isMapping, type ModelDocument } from './document.js';
import { layerError } from './fields.js';

type Kind = 'categorical' | 'binary' | 'squares';

const NAMES: Record<Kind, string> = {
  categorical: 'sparse categorical cross entropy',
  binary: 'binary cross entropy',
  squares: 'mean squared error',
};

export interface Loss {
  value: Value;
  /** What nobody said. */
  assumptions: Warning[];
}

/** The sum of the outputs' losses; `compiled` is compile_config's loss. */
export function lossOf(g: GraphBuilder, model: ModelDocument, outputs: Value[], compiled: unknown): Loss {
  const assumptions: Warning[] = [];
  const losses = outputs.map((output, index) => {
    const name = model.outputs[index]?.layer ?? model.layers.at(-1)?.place.name ?? '';
    const said = kindOf(lossAt(compiled, index, name));
    const kind = said ?? guess(model, output, name);
    if (!said) {
      assumptions.push({
        code: 'ASSUMED_LOSS',
        message: `the file names no loss that is known: ${NAMES[kind]} on "${name}"`,
        hint: 'save the compiled model as .keras, whose loss is read',
      });
    }
    return build(g, model, output, kind, outputs.length > 1 ? `_${index + 1}` : '');
  });
  const [first, ...others] = losses;
  if (!first) throw layerError(model.place, 'the model has no output');
  return { value: others.reduce((sum, each) => add(g, sum, each), first), assumptions };
}

/** One loss for all outputs, or one for each by place or by name. */
function lossAt(compiled: unknown, index: number, name: string): unknown {
  if (Array.isArray(compiled)) return compiled[index];
  return isMapping(compiled) && !('class_name' in compiled) ? compiled[name] : compiled;
}

function kindOf(loss: unknown): Kind | null {
  const raw = isMapping(loss) ? (typeof loss.config === 'string' ? loss.config : loss.class_name) : loss;
  if (typeof raw !== 'string') return null;
  const name = raw.toLowerCase().replace(/[^a-z]/g, '');
  if (/^(sparse)?categorical(crossentropy|focalcrossentropy)$/.test(name)) return 'categorical';
  if (/^binary(focal)?crossentropy$/.test(name)) return 'binary';
  return /^(mse|meansquarederror)$/.test(name) ? 'squares' : null;
}

/** Softmax: classes. Sigmoid: yes or no, each. A last Dense without either and of several units: logits of classes. */
function guess(model: ModelDocument, output: Value, name: string): Kind {
  const origin = logitsOf(output)?.name;
  if (origin) return origin === 'softmax' ? 'categorical' : 'binary';
  const last = model.layers.find(({ place }) => place.name === name);
  const units = last?.place.className === 'Dense' && last.config.activation === 'linear' ? Number(last.config.units) : 0;
  return units > 1 ? 'categorical' : 'squares';
}

function build(g: GraphBuilder, model: ModelDocument, output: Value, kind: Kind, suffix: string): Value {
  const logits = logitsOf(output)?.logits ?? output;
  const scalar = { shape: [], dtype: output.dtype };
  if (kind === 'squares') {
    const target = g.input(`target${suffix}`, [...output.shape], 'model', 'target');
    return g.call('aten.mse_loss', [output, target], scalar);
  }
  if (kind === 'binary') {
    const target = g.input(`target${suffix}`, [...output.shape], 'model', 'target');
    return g.call('aten.binary_cross_entropy_with_logits', [logits, target], scalar);
  }
  const classes = Number(output.shape.at(-1));
  if (output.shape.length < 2) throw layerError(model.place, `a cross entropy needs classes, found the output [${output.shape}]`);
  const labels = g.input(`labels${suffix}`, output.shape.slice(0, -1) as Size[], 'int64', 'target', classes);
  if (output.shape.length === 2) return crossEntropy(g, logits, labels);
  return crossEntropy(g, reshape(g, logits, [-1, classes]), reshape(g, labels, [-1]));
}
