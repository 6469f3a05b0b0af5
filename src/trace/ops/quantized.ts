/** A linear module whose weight is kept in four bits (bitsandbytes Linear4bit). */
import { define, type Rule } from '../registry.js';
import type { Session } from '../session.js';
import { product, type Tensor } from '../tensor.js';
import { numbers, optionalTensor, tensor } from './arguments.js';
import { castTo, reshape } from './core.js';
import { linear, mm } from './matmul.js';

/** The weight made again in a type: first its scales in float32, then the values. */
function dequantize(s: Session, scales: Tensor, shape: readonly number[], type: Tensor['type']): Tensor {
  return s.scope(() => {
    s.empty(scales.shape, 'float32');
    return s.empty(shape, type);
  });
}

/** (input, packed weight, its scales, [out, in], bias): computed in the autocast or the input's type, cast back after. */
const linear4bit: Rule = (s, args) => {
  const given = tensor(args[0]);
  const scales = tensor(args[2]);
  const shape = numbers(args[3]) as [number, number];
  const bias = optionalTensor(args[4]);
  const type = s.autocastType ?? s.options.modelType;
  const x = castTo(s, given, type);
  const made = s.withoutAutocast(() =>
    s.withoutGradients(() => s.scope(() => linear(s, x, dequantize(s, scales, shape, type), bias ? castTo(s, bias, type) : null))),
  );
  s.record('matmul_4bit', [x], [made], [], ([grad]) => {
    if (!grad) return [null];
    const rows = reshape(s, grad, [product(grad.shape.slice(0, -1)), shape[0]]);
    const weight = dequantize(s, scales, shape, grad.type);
    return [reshape(s, mm(s, rows, weight), x.shape)];
  });
  return castTo(s, made, given.type);
};

define({ 'bitsandbytes.linear_4bit': linear4bit });
