/**
 * xMem's runs (torch 2.6, fp32, cudnn.benchmark off): NVML's peak less what it read when the context existed.
 * Language models pad to the longest row of a batch, at most 128 tokens: under ten rows the length is not known.
 */
import { lines } from '../read.mjs';
import { translate } from './op.mjs';

const GPT = { kind: 'hf', model_type: 'gpt2', head: 'clm', seq: 128, hold: true, transformers: '4.49.0' };
const T5 = { kind: 'hf', model_type: 't5', head: 's2s', seq: 128, attention: 'eager', hold: true };
const OPT = {
  vocab_size: 50272,
  hidden_size: 768,
  ffn_dim: 3072,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  word_embed_proj_dim: 768,
};
const CEREBRAS = { n_embd: 768, n_layer: 10, n_head: 12, n_inner: 3072, activation_function: 'gelu', n_positions: 2048, resid_pdrop: 0 };
const T5_BASE = { vocab_size: 32128, d_model: 768, d_ff: 3072, num_layers: 12, num_heads: 12 };

/** The models of the runs; the MobileNets have ten classes. */
const MODELS = {
  ConvNeXtBase: { kind: 'tv', model: 'convnext_base', image: 86 },
  MobeNetV3Large: { kind: 'tv', model: 'mobilenet_v3_large_10', image: 86 },
  MobeNetV3Small: { kind: 'tv', model: 'mobilenet_v3_small_10', image: 86 },
  RegNetX400MF: { kind: 'tv', model: 'regnet_x_400mf', image: 86 },
  ResNet101: { kind: 'tv', model: 'resnet101', image: 86 },
  ResNet152: { kind: 'tv', model: 'resnet152', image: 86 },
  VGG16: { kind: 'tv', model: 'vgg16', image: 86 },
  'T5-small': { ...T5, config: { vocab_size: 32128 } },
  't5-base': { ...T5, config: T5_BASE },
  'cerebras/Cerebras-GPT-111M': { ...GPT, config: { ...CEREBRAS, embd_pdrop: 0, attn_pdrop: 0, scale_attn_weights: true } },
  'distilbert/distilgpt2': { ...GPT, config: { n_layer: 6 } },
  'openai-community/gpt2': { ...GPT, config: {} },
  'facebook/opt-125m': { kind: 'hf', model_type: 'opt', head: 'clm', config: OPT, seq: 128, attention: 'sdpa', hold: true },
};
const DEVICES = { 'NVIDIA GeForce RTX 3060': 'rtx-3060', 'NVIDIA GeForce RTX 4060': 'rtx-4060' };
const SURE_BATCH = 10;

export function xmemRows(truth) {
  return lines(truth, 'xmem_nvml.jsonl.gz').flatMap((row) => {
    const [model, device] = [MODELS[row.model], DEVICES[row.gpu]];
    if (!model || !device) return [];
    const batch = row.batch_per_gpu;
    const setup = { ...model, batch, precision: 'fp32', optimizer: row.optimizer.toLowerCase(), zero_grad: positionOf(row) };
    const id = `${row.model} batch ${batch} ${row.optimizer} ${device}`;
    const asked = { id, ...translate(setup), device };
    const call = { ...asked, group: row.oom ? 'out of memory' : 'did run', counter: 'call', actual: !row.oom };
    if (row.oom || (model.kind === 'hf' && batch < SURE_BATCH)) return [call];
    const group = model.kind === 'tv' ? 'CNN' : 'language models';
    const bytes = { ...asked, counter: 'reservedBytes', actual: row.peak_mem_bytes };
    return [call, { ...bytes, group }, { ...bytes, group: 'all' }];
  });
}

/** Where gradients are dropped; most likely before the forward pass where the source does not say. */
function positionOf({ zero_grad_position: position }) {
  if (position === null) return 'before-forward';
  if (position.startsWith('POS0')) return 'before-forward';
  return position.startsWith('POS1') ? 'before-backward' : 'after-step';
}
