/** PyTorch's own bookkeeping of one step: peaks of tensors, of the reserve, and in which phase. */
import { lines } from '../read.mjs';

const ARCHITECTURES = {
  gpt2: 'GPT2LMHeadModel',
  llama: 'LlamaForCausalLM',
  mistral: 'MistralForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
  gemma: 'GemmaForCausalLM',
  gemma2: 'Gemma2ForCausalLM',
  phi: 'PhiForCausalLM',
  opt: 'OPTForCausalLM',
  gpt_neox: 'GPTNeoXForCausalLM',
  gpt_neo: 'GPTNeoForCausalLM',
  bloom: 'BloomForCausalLM',
  t5: 'T5ForConditionalGeneration',
  bart: 'BartForConditionalGeneration',
  mixtral: 'MixtralForCausalLM',
};
const NAMES = {
  bert: 'Bert',
  roberta: 'Roberta',
  distilbert: 'DistilBert',
  electra: 'Electra',
  'deberta-v2': 'DebertaV2',
  albert: 'Albert',
};
const HEADS = { clm: 'CausalLM', mlm: 'MaskedLM', cls: 'SequenceClassification', s2s: 'ConditionalGeneration' };
/** Families whose attention is always written out. */
const WRITTEN_OUT = new Set(['gpt_neo', 't5', 'deberta-v2', 'bloom']);

export const architectureOf = ({ model_type: type, head }) => ARCHITECTURES[type] ?? `${NAMES[type]}For${HEADS[head]}`;

/** The model and setup that a setup in the truth's own words means. */
export function translate(setup) {
  const attention = setup.attention === 'eager' || WRITTEN_OUT.has(setup.model_type) ? 'math' : 'auto';
  const image = setup.image && (setup.kind === 'tv' || setup.set_img) ? { image: [setup.image, setup.image] } : {};
  const model =
    setup.kind === 'hf'
      ? { config: configOf(setup), options: { seq: setup.seq, attention } }
      : setup.kind === 'timm'
        ? { reference: `timm:${setup.model}`, options: image }
        : {
            reference: `torchvision:${setup.model.replace(/_10$/, '')}`,
            options: { ...image, ...(setup.model.endsWith('_10') && { classes: 10 }) },
          };
  return {
    model,
    setup: {
      batch: setup.batch,
      precision: setup.precision,
      optimizer: setup.optimizer,
      optimizerImplementation: setup.impl ?? 'default',
      checkpointing: setup.checkpointing ?? 'none',
      attention,
      zeroGradPosition: setup.zero_grad ?? 'after-step',
      // The tracer's loop over timm models keeps no outputs.
      keepOutputs: setup.hold === true && setup.kind === 'hf',
      accumulation: setup.accumulation ?? 1,
      clipGradNorm: setup.clip ? 1 : null,
      ...(setup.lora && { method: 'lora', loraRank: setup.lora.rank, loraTargets: setup.lora.targets }),
    },
  };
}

function configOf(setup) {
  const { config, model_type, transformers } = setup;
  return { ...config, model_type, architectures: [architectureOf(setup)], ...(transformers && { transformers_version: transformers }) };
}

export function opRows(truth) {
  return lines(truth, 'op/rows.jsonl.gz').flatMap(({ setup, truth: told }) => {
    if (told.error) return [];
    const { model, precision, optimizer, batch } = setup;
    const row = { id: `${model ?? setup.model_type} batch ${batch} ${precision} ${optimizer}`, ...translate(setup), device: 'a100-80gb' };
    const group = setup.lora ? ', LoRA' : '';
    return [
      { ...row, group: `tensorBytes${group}`, counter: 'tensorBytes', actual: told.peakAllocatedBytes },
      { ...row, group: `tensorReservedBytes${group}`, counter: 'tensorReservedBytes', actual: told.peakReservedBytes },
      { ...row, group: `peakAt${group}`, counter: 'peakAt', actual: told.peakAt },
    ];
  });
}
