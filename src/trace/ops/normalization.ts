/** Normalizations: each keeps its input and two float32 vectors of statistics. */
import { type ElementType, isFloating } from '../dtype.js';
import { callOne, define, type Rule } from '../registry.js';
import type { Session } from '../session.js';
import { channelsLastStrides, contiguousStrides, isChannelsLast, suggestsChannelsLast, type Tensor } from '../tensor.js';
import { flag, number, numbers, optionalTensor, tensor } from './arguments.js';
import { clone, contiguous, elementwise, reshape } from './core.js';

/** Statistics are kept in float32 for half-precision inputs. */
const statisticsType = (type: ElementType): ElementType => (type === 'float16' || type === 'bfloat16' ? 'float32' : type);

function denseLike(s: Session, t: Tensor): Tensor {
  return s.empty(t.shape, t.type, suggestsChannelsLast(t) ? channelsLastStrides(t.shape) : contiguousStrides(t.shape));
}

/** cuDNN normalizes where weights are float32 and the input is float32 or half with three or more dimensions. */
function usesCudnn(s: Session, x: Tensor, weight: Tensor | null, bias: Tensor | null): boolean {
  return (
    s.options.capability > 0 &&
    x.type !== 'bfloat16' &&
    weight !== null &&
    weight.type !== 'bfloat16' &&
    (x.type !== 'float16' || weight.type === 'float32') &&
    bias !== null &&
    x.shape.length >= 3 &&
    x.size(0) <= 880801
  );
}

function batchNorm(
  s: Session,
  x: Tensor,
  weight: Tensor | null,
  bias: Tensor | null,
  runningMean: Tensor | null,
  runningVariance: Tensor | null,
  training: boolean,
): Tensor {
  const channels = x.size(1);
  const type = statisticsType(x.type);
  const cudnn = training && usesCudnn(s, x, weight, bias);
  const out = denseLike(s, x);
  const mean = training ? s.empty([channels], type) : null;
  const deviation = training ? s.empty([channels], type) : null;
  s.tape.countKernel(cudnn ? 'cudnn_batch_norm' : 'native_batch_norm');
  s.log?.add('normalization', 'batch_norm', [x, weight, bias], [out, mean, deviation]);
  s.record('batch_norm', [x, weight, bias], [out], [x, weight, runningMean, runningVariance, mean, deviation], ([grad], needs) => {
    if (!grad) return [null, null, null];
    if (cudnn) {
      // grad.contiguous(input.suggest_memory_format()): derivatives.yaml, cudnn_batch_norm
      if (!suggestsChannelsLast(x)) contiguous(s, grad);
      else if (!isChannelsLast(grad)) clone(s, grad, channelsLastStrides(grad.shape));
    }
    const grads = [
      cudnn || needs[0] ? denseLike(s, x) : null,
      weight && (cudnn || needs[1]) ? s.empty(weight.shape, weight.type) : null,
      bias && (cudnn || needs[2]) ? s.empty(bias.shape, bias.type) : null,
    ];
    s.log?.add('normalization', 'batch_norm', [grad, x, weight], grads);
    return grads;
  });
  return out;
}

const batchNormRule: Rule = (s, args) =>
  batchNorm(
    s,
    tensor(args[0]),
    optionalTensor(args[1]),
    optionalTensor(args[2]),
    optionalTensor(args[3]),
    optionalTensor(args[4]),
    flag(args[5], true),
  );

export function layerNorm(s: Session, x: Tensor, normalized: readonly number[], weight: Tensor | null, bias: Tensor | null): Tensor {
  const type = statisticsType(x.type);
  const out = s.empty(x.shape, x.type);
  const statisticsShape = x.shape.map((n, i) => (i < x.shape.length - normalized.length ? n : 1));
  const mean = s.empty(statisticsShape, type);
  const deviation = s.empty(statisticsShape, type);
  s.tape.countKernel('native_layer_norm');
  s.record('native_layer_norm', [x, weight, bias], [out], [x, weight, bias, mean, deviation], ([grad], needs) => {
    if (!grad) return [null, null, null];
    return [
      needs[0] ? s.empty(x.shape, x.type) : null,
      needs[1] && weight ? s.empty(weight.shape, weight.type) : null,
      needs[2] && bias ? s.empty(bias.shape, bias.type) : null,
    ];
  });
  return out;
}

const layerNormRule: Rule = (s, args) => layerNorm(s, tensor(args[0]), numbers(args[1]), optionalTensor(args[2]), optionalTensor(args[3]));

const groupNormRule: Rule = (s, args) => {
  const x = contiguousFor(s, tensor(args[0]));
  const groups = number(args[1]);
  const weight = optionalTensor(args[2]);
  const bias = optionalTensor(args[3]);
  const type = statisticsType(x.type);
  const out = denseLike(s, x);
  const mean = s.empty([x.size(0), groups], x.type);
  const deviation = s.empty([x.size(0), groups], type === x.type ? type : x.type);
  s.tape.countKernel('native_group_norm');
  s.log?.add('normalization', 'native_group_norm', [x, weight, bias], [out, mean, deviation]);
  s.record('native_group_norm', [x, weight, bias], [out], [x, weight, mean, deviation], ([grad], needs) => {
    if (!grad) return [null, null, null];
    return [
      needs[0] ? denseLike(s, x) : null,
      needs[1] && weight ? s.empty(weight.shape, weight.type) : null,
      needs[2] && bias ? s.empty(bias.shape, bias.type) : null,
    ];
  });
  return out;
};

/** group_norm takes its input dense in the memory format it suggests. */
function contiguousFor(s: Session, x: Tensor): Tensor {
  if (!suggestsChannelsLast(x)) return contiguous(s, x);
  return x;
}

/** aten::rms_norm as one kernel: input, weight and the inverse root of the mean square are kept. */
const rmsNormRule: Rule = (s, args) => {
  const x = tensor(args[0]);
  const normalized = numbers(args[1]);
  const weight = optionalTensor(args[2]);
  const out = s.empty(x.shape, x.type);
  const inverse = s.empty(
    x.shape.map((n, i) => (i < x.shape.length - normalized.length ? n : 1)),
    statisticsType(x.type),
  );
  s.record('_fused_rms_norm', [x, weight], [out], [x, weight, inverse], ([grad], needs) => {
    if (!grad) return [null, null];
    return [s.empty(x.shape, x.type), needs[1] && weight ? s.empty(weight.shape, weight.type) : null];
  });
  return out;
};

/** instance_norm is a batch norm of the input seen as one sample of batch times channels. */
const instanceNormRule: Rule = (s, args) => {
  const x = tensor(args[0]);
  const [n, c] = [x.size(0), x.size(1)];
  const repeat = (t: Tensor | null): Tensor | null => (t ? callOne(s, 'repeat', [t, [n]]) : null);
  const merged = reshape(s, contiguous(s, x), [1, n * c, ...x.shape.slice(2)]);
  const out = batchNorm(s, merged, repeat(optionalTensor(args[1])), repeat(optionalTensor(args[2])), null, null, true);
  return reshape(s, out, x.shape);
};

/**
 * F.normalize and cosine similarity are written out by their callers; vector norms keep input and result. Autocast asks
 * for a float32 result, which the kernel computes from the low type without a copy (autocast_mode.h, fp32_set_opt_dtype).
 */
const vectorNormRule: Rule = (s, args, named) => {
  const x = tensor(args[0]);
  const order = number(args[1], 2);
  const dims =
    args[2] === null || args[2] === undefined ? x.shape.map((_, i) => i) : numbers(args[2]).map((d) => (d < 0 ? d + x.shape.length : d));
  const keep = flag(args[3]);
  const shape = keep ? x.shape.map((n, i) => (dims.includes(i) ? 1 : n)) : x.shape.filter((_, i) => !dims.includes(i));
  const type = named.dtype === 'float32' || (s.autocastType && isFloating(x.type)) ? 'float32' : x.type;
  const out = s.empty(shape, type);
  s.record('linalg_vector_norm', [x], [out], [x, out], ([grad]) => {
    if (!grad) return [null];
    // order 2: grad * (self / norm), masked in place where the norm is zero (norm_backward in FunctionsManual.cpp)
    if (order === 2) {
      elementwise(s, [x], type);
      s.empty(shape, 'bool');
    }
    return [elementwise(s, [x], type)];
  });
  return out;
};

define({
  batch_norm: batchNormRule,
  layer_norm: layerNormRule,
  native_layer_norm: layerNormRule,
  group_norm: groupNormRule,
  rms_norm: rmsNormRule,
  instance_norm: instanceNormRule,
  linalg_vector_norm: vectorNormRule,
  'norm.ScalarOpt_dim': vectorNormRule,
});
