/** What an estimate takes for granted that nobody has checked against a run: told as warnings, and marked `assumed`. */
import type { Warning } from '../errors.js';
import type { ModelGraph } from '../model/graph.js';
import { trainedGraph } from '../model/methods/trained.js';
import type { Setup } from '../setup.js';
import { programOf } from '../trace/index.js';

const RECURRENT = /^aten\.(lstm|gru|rnn_tanh|rnn_relu)\./;
const HINT = 'batchfit probe measures it';

/** One warning for each part of the setup or the model that rests on an assumption. */
export function assumptionsOf(model: ModelGraph, setup: Setup): Warning[] {
  const assume = (code: string, message: string): Warning => ({ code, message, hint: HINT });
  const warnings: Warning[] = [...(model.assumptions ?? [])];
  const graph = trainedGraph(model, setup);
  const { assumed } = setup.generic ? programOf(graph, true) : { assumed: [] };
  if (assumed.length > 0) {
    warnings.push(assume('ASSUMED_OPERATORS', `no memory rule for ${assumed.join(', ')}: bounded by the sizes of what goes in`));
  }
  if (graph.nodes.some(({ op }) => RECURRENT.test(op))) {
    warnings.push(assume('ASSUMED_RESERVE', 'what cuDNN keeps of a recurrent layer is not published: taken to be its gates and cells'));
  }
  if (graph.nodes.some(({ op }) => op === 'torchvision.roi_align')) {
    const sampled = 'as many boxes as the samplers take at most, with all of the positive ones that they may';
    warnings.push(assume('ASSUMED_CHOICES', `an image is taken to give ${sampled}, spread evenly over the feature maps`));
  }
  if (setup.optimizer === 'adamw-8bit') {
    warnings.push(assume('ASSUMED_OPTIMIZER', 'the state of 8-bit AdamW follows the source of bitsandbytes, not a run'));
  }
  if (setup.method === 'qlora') {
    warnings.push(
      assume('ASSUMED_QUANTIZATION', 'four-bit weights follow the source of bitsandbytes (NF4, scales quantized too), not a run'),
    );
  }
  if (setup.tensorParallel > 1) {
    const what = `layers are split between ${setup.tensorParallel} devices as Megatron-LM splits them`;
    warnings.push(assume('ASSUMED_TENSOR_PARALLEL', `${what}, after its paper, not a run`));
  }
  if (setup.gpus > setup.tensorParallel) {
    const how = setup.sharding === 'ddp' ? 'the buckets of gradients' : `what --sharding ${setup.sharding} divides and gathers`;
    warnings.push(assume('ASSUMED_SHARDING', `${how} follows the library's defaults, not a run on ${setup.gpus} devices`));
  }
  if (setup.framework === 'tensorflow') {
    warnings.push(
      assume(
        'ASSUMED_FRAMEWORK',
        "what operators keep follows PyTorch's formulas, in TensorFlow's allocator (memory growth on), not a run",
      ),
    );
  }
  return warnings;
}
