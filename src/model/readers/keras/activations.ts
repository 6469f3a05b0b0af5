/** Keras' activation functions (keras/src/activations) as ATen calls. */
import type { GraphBuilder, Value } from '../../builder.js';
import { add, gelu, mul, softmax, unary } from '../../ops/elementwise.js';
import { isMapping } from './document.js';
import { type Fields, type Place, show, unsupportedLayer } from './fields.js';

type Activation = (g: GraphBuilder, x: Value) => Value;

const call =
  (op: string, args: (number | boolean)[] = []): Activation =>
  (g, x) =>
    unary(g, `aten.${op}`, x, args);

const ACTIVATIONS: Record<string, Activation> = {
  linear: (_, x) => x,
  relu: call('relu'),
  relu6: call('hardtanh', [0, 6]),
  // Keras 2 computes the erf form too, unless it is asked for the tanh one by a function that has no name.
  gelu: (g, x) => gelu(g, x),
  silu: call('silu'),
  swish: call('silu'),
  sigmoid: call('sigmoid'),
  tanh: call('tanh'),
  softmax: (g, x) => softmax(g, x, -1),
  log_softmax: call('log_softmax.int', [-1]),
  elu: call('elu'),
  selu: call('selu'),
  celu: call('celu'),
  exponential: call('exp'),
  softplus: call('softplus'),
  softsign: call('softsign'),
  mish: call('mish'),
  leaky_relu: call('leaky_relu', [0.2]),
  hard_sigmoid: call('hardsigmoid'),
  hard_silu: call('hardswish'),
  hard_swish: call('hardswish'),
  hard_tanh: call('hardtanh', [-1, 1]),
  square: call('square'),
  quick_gelu: (g, x) => mul(g, x, unary(g, 'aten.sigmoid', mul(g, x, 1.702))),
  tanh_shrink: (g, x) => add(g, x, unary(g, 'aten.neg', unary(g, 'aten.tanh', x))),
};

/** The name of a serialized activation: a string, or a function's or layer's document; null is "linear". */
export function activationName(raw: unknown): string {
  if (raw === undefined || raw === null) return 'linear';
  if (typeof raw === 'string') return raw;
  if (!isMapping(raw)) return show(raw);
  if (typeof raw.config === 'string') return raw.config;
  const name = String(raw.registered_name ?? raw.class_name);
  return name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();
}

/** Whether there is an activation of that name. */
export function isActivation(name: string): boolean {
  return Object.hasOwn(ACTIVATIONS, name);
}

/** What softmax and sigmoid were computed from: Keras' losses go back to it (`_get_logits` of keras/src/backend/tensorflow/nn.py). */
const origins = new WeakMap<Value, { name: 'softmax' | 'sigmoid'; logits: Value }>();

export function logitsOf(x: Value): { name: 'softmax' | 'sigmoid'; logits: Value } | undefined {
  return origins.get(x);
}

/** Notes that `result` is the softmax or the sigmoid of `logits`. */
export function noteLogits(result: Value, name: 'softmax' | 'sigmoid', logits: Value): Value {
  origins.set(result, { name, logits });
  return result;
}

/** Applies an activation by its name. Throws UsageError that names one that is not known. */
export function activate(g: GraphBuilder, x: Value, name: string, place: Place): Value {
  const apply = isActivation(name) ? ACTIVATIONS[name] : undefined;
  if (!apply) throw unsupportedLayer(place, `activation "${name}" is not supported`);
  const result = apply(g, x);
  return name === 'softmax' || name === 'sigmoid' ? noteLogits(result, name, x) : result;
}

/** A layer's `activation` field, applied to its result. */
export function activateField(g: GraphBuilder, x: Value, fields: Fields): Value {
  return activate(g, x, activationName(fields.raw('activation')), fields.place);
}
