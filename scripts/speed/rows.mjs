/**
 * Published training speeds as rows to predict: { set, id, name, family, device, seconds, samples, model, setup }. `model` is a
 * graph's `file` or a `reference` at an `image` size, or a Hugging Face `config` at a `seq` length.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

export function readRows(truth, graphs) {
  return [...timmRows(truth, graphs), ...mptRows(truth), ...nvidiaRows(truth, graphs)];
}

function lines(truth, name) {
  const text = gunzipSync(readFileSync(join(truth, `${name}.jsonl.gz`))).toString();
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

/** Names that models have had in timm since 2022, where they differ (its table of deprecated models). */
const RENAMED = JSON.parse(readFileSync(new URL('timm-renamed.json', import.meta.url), 'utf8'));

/** NAME.graph.json of the folder, else the graph that the package ships. */
function timmModel(name, image, graphs) {
  const names = RENAMED[name] ? [name, RENAMED[name]] : [name];
  const file = graphs && names.map((each) => join(graphs, `${each}.graph.json`)).find((each) => existsSync(each));
  return file ? { file, image } : { reference: `timm:${names.at(-1)}`, image };
}

/**
 * timm on one RTX 3090, torch 1.10 to 1.12, autocast to float16: benchmark.py's SGD with Nesterov momentum, one tensor at
 * a time, gradients set to zero, and the attention written out, as timm had it then.
 */
function timmRows(truth, graphs) {
  return lines(truth, 'timm_train_rtx3090').flatMap((row) => {
    if (row.notes.includes('SUSPECT')) return [];
    const channelsLast = row.notes.includes('layout nhwc');
    const loop = { optimizer: 'nesterov', optimizerImplementation: 'single', zeroGrad: 'to-zero', attention: 'math' };
    const setup = { ...loop, precision: 'amp-fp16', channelsLast };
    return [
      {
        set: channelsLast ? 'timm-nhwc' : 'timm-nchw',
        id: `${row.model} ${row.input}px ${channelsLast ? 'nhwc' : 'nchw'} ${/torch [\d.]+/.exec(row.notes)[0]}`,
        name: row.model,
        family: /^(tf_|swsl_|ssl_|gluon_|legacy_|tv_|dm_|jx_|eca|semn|adv_|hard)?([a-z]+)/.exec(row.model)[2],
        device: 'rtx-3090',
        seconds: row.batch_per_gpu / row.throughput_samples_s,
        samples: row.batch_per_gpu,
        model: timmModel(row.model, row.input, graphs),
        setup: { ...setup, batch: row.batch_per_gpu },
      },
    ];
  });
}

/** Width, heads and layers of MPT (llm-foundry, scripts/train/yamls/pretrain). */
const MPT = {
  '125m': [768, 12, 12],
  '350m': [1024, 16, 24],
  '760m': [1536, 12, 24],
  '1b': [2048, 16, 24],
  '3b': [2560, 20, 32],
  '7b': [4096, 32, 32],
  '13b': [5120, 40, 40],
  '30b': [7168, 56, 48],
  '70b': [8192, 64, 80],
};

/** llm-foundry's benchmark of MPT: FSDP, flash attention, decoupled AdamW. A GPT-2 of the same sizes stands for it. */
function mptRows(truth) {
  return lines(truth, 'llm_foundry_mpt').flatMap((row) => {
    const [n_embd, n_head, n_layer] = MPT[row.model.slice(4)];
    if (row.precision === 'amp_fp8') return [];
    const config = {
      model_type: 'gpt2',
      architectures: ['GPT2LMHeadModel'],
      vocab_size: 50368,
      n_positions: row.input,
      n_embd,
      n_head,
      n_layer,
    };
    const accumulation = Number(/grad accum (\d+)/.exec(row.notes)[1]);
    const setup = {
      batch: row.batch_per_gpu,
      precision: row.precision.replace('_', '-'),
      optimizer: 'adamw',
      checkpointing: row.grad_checkpointing ? 'full' : 'none',
      accumulation,
      gpus: row.n_gpus,
      sharding: row.sharding.includes('zero2') ? 'zero2' : 'fsdp',
    };
    const device = row.gpu === 'H100' ? 'h100-80gb' : `a100-${row.gpu_mem_gb}gb`;
    const samples = row.batch_per_gpu * accumulation * row.n_gpus;
    return [
      {
        set: `mpt ${device}`,
        id: `${row.model} ${row.input} tokens on ${row.n_gpus}`,
        name: row.model,
        family: row.model,
        device,
        seconds: samples / row.throughput_samples_s,
        samples,
        model: {
          config: { ...config, activation_function: 'gelu', resid_pdrop: 0, embd_pdrop: 0, attn_pdrop: 0 },
          seq: row.input,
          name: `${row.model}-${row.input}`,
        },
        setup,
      },
    ];
  });
}

const BERT_LARGE = {
  model_type: 'bert',
  architectures: ['BertForSequenceClassification'],
  hidden_size: 1024,
  num_hidden_layers: 24,
  num_attention_heads: 16,
  intermediate_size: 4096,
};

/** The part of a row's batch column that belongs to its precision: "128 and 256" for (TF32 and FP16). */
function pick(column, row) {
  const [, names, values] = column;
  const parts = values.split(/,| and /).map((part) => Number(/\d+/.exec(part)?.[0]));
  const order = names.split(/,| and /).map((name) => (/mixed|fp16|amp/i.test(name) ? 'amp_fp16' : 'full'));
  return parts[order.indexOf(row.precision === 'amp_fp16' ? 'amp_fp16' : 'full')];
}

/** NVIDIA DeepLearningExamples: BERT-large of all three frameworks, and ResNeXt of TensorFlow. */
function nvidiaRows(truth, graphs) {
  return lines(truth, 'nvidia_dle').flatMap((row) => {
    if (!row.throughput_samples_s || !row.n_gpus) return [];
    const device = row.gpu === 'A100' ? `a100-${row.gpu_mem_gb}gb` : row.gpu === 'V100' ? `v100-${row.gpu_mem_gb}gb` : null;
    const model = nvidiaModel(row, graphs);
    const sizes = model && nvidiaSizes(row);
    if (!device || !sizes) return [];
    const framework = row.source_path.split('/')[0];
    // TensorFlow rounds float32 products to TF32 where the hardware can, whatever the table calls them.
    const precision = row.gpu === 'A100' && row.precision === 'fp32' ? 'tf32' : row.precision.replace('_', '-');
    const setup = { ...sizes, precision, gpus: row.n_gpus, sharding: 'ddp', ...model.setup };
    const samples = sizes.batch * sizes.accumulation * row.n_gpus;
    const id = `${framework} ${model.name} batch ${sizes.batch} x ${sizes.accumulation} ${precision} on ${row.n_gpus} ${device}`;
    const set = `${isBinned(row) ? 'binned' : 'nvidia'} ${device.replace(/-\d+gb/, '')}`;
    return [
      {
        set,
        framework,
        id,
        name: model.name,
        family: model.name,
        device,
        seconds: samples / row.throughput_samples_s,
        samples,
        model,
        setup,
      },
    ];
  });
}

/**
 * Pre-training phase 2 of the PyTorch and PaddlePaddle examples loads its data with LDDL, which puts sequences of like
 * length into bins and pads within a bin alone: their mean length is far below the 512 tokens stated. At 512 the V100's
 * row would run at 19 TFLOP/s in float32, above its peak of 15.7. Nothing is fitted to such rows; they are shown apart.
 */
const isBinned = (row) => row.input === 512 && /^(PyTorch|PaddlePaddle)\/.*BERT/.test(row.source_path);

function nvidiaModel(row, graphs) {
  if (/\/BERT\//.test(row.source_path)) {
    // Fine-tuning on SQuAD is at 384 tokens; pre-training predicts a sixth of the tokens, so its head is small.
    // TensorFlow and PyTorch have the attention written out, PaddlePaddle a fused kernel.
    const math = !row.source_path.startsWith('PaddlePaddle');
    const seq = row.input ?? 384;
    const optimizer = row.input ? 'lamb' : 'adam';
    return {
      config: BERT_LARGE,
      seq,
      math,
      name: `bert-large-${seq}`,
      setup: { optimizer, optimizerImplementation: 'fused', attention: math ? 'math' : 'auto' },
    };
  }
  const name = /ConvNets\/(se-)?resnext101-32x4d/.exec(row.source_path);
  if (!name) return null;
  return {
    ...timmModel(name[1] ? 'seresnext101_32x4d' : 'resnext101_32x4d', 224, graphs),
    name: name[1] ? 'se-resnext101' : 'resnext101',
    setup: { optimizer: 'momentum', optimizerImplementation: 'fused', channelsLast: true },
  };
}

function nvidiaSizes(row) {
  const column = /batch column '[^']*?\/ ?GPU:? ?\(?([^')]*)\)?' = ([^;]*);/i.exec(row.notes);
  const accumulated = /(?:Gradient Accumulation:? ?(.*?)|Accumulation steps \(([^)]*)\)) (\d+ ?(?:,|and) ?\d+)/.exec(row.notes);
  if (/ConvNets/.test(row.source_path)) {
    const sizes = /= (\d+) \((?:TF|FP32)\) \/ (\d+) \(AMP\)/.exec(row.notes);
    return sizes && { batch: Number(sizes[row.precision === 'amp_fp16' ? 2 : 1]), accumulation: 1 };
  }
  const accumulation = accumulated ? pick([null, accumulated[1] ?? accumulated[2], accumulated[3]], row) : 1;
  let batch = column ? pick([null, column[1], column[2]], row) : row.batch_per_gpu;
  if (!batch || !accumulation) return null;
  if (batch >= 2048) batch /= accumulation; // a table of accumulated batches
  return { batch, accumulation };
}

/** Writes a Hugging Face config where readModel can find it. */
export function configFolder(model) {
  const folder = join(tmpdir(), 'batchfit-speed', model.name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), JSON.stringify(model.config));
  return folder;
}
