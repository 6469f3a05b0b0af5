/** Fine-tuning of language models that a Hugging Face config can express. */
import { GIB, lines } from '../read.mjs';

const LLAMA_2 = {
  '7 B': { hidden_size: 4096, intermediate_size: 11008, num_hidden_layers: 32, num_attention_heads: 32 },
  '13 B': { hidden_size: 5120, intermediate_size: 13824, num_hidden_layers: 40, num_attention_heads: 40 },
};
/** Qwen of 2023 has the layers of Qwen2 with as many key as query heads; its `intermediate_size` counts both halves. */
const QWEN = {
  '7B': { ...LLAMA_2['7 B'], vocab_size: 151936 },
  '14B': { ...LLAMA_2['13 B'], intermediate_size: 13696, vocab_size: 152064 },
};
const BERT_BASE = { hidden_size: 768, intermediate_size: 3072, num_hidden_layers: 12, num_attention_heads: 12 };
const BERT_LARGE = { hidden_size: 1024, intermediate_size: 4096, num_hidden_layers: 24, num_attention_heads: 16 };

export function languageRows(truth) {
  return [...bertRows(truth), ...bertCalls(truth), ...litgptRows(truth), ...qwenRows(truth)];
}

/** transformers' docs: BERT large on a V100 of 16 GB, NVML with a context of 1343 MB, which loads all kernels. */
function bertRows(truth) {
  return lines(truth, 'misc_docs_blogs.jsonl.gz').flatMap((row) => {
    if (row.model !== 'bert-large-uncased') return [];
    const config = { ...BERT_LARGE, model_type: 'bert', architectures: ['BertForSequenceClassification'], transformers_version: '4.20.0' };
    const accumulation = /grad accum (\d+)/.exec(row.notes)?.[1];
    const setup = {
      batch: row.batch_per_gpu,
      precision: row.precision.replace('_', '-'),
      optimizer: { adafactor: 'adafactor', adam8bit: 'adamw-8bit' }[row.optimizer] ?? 'adamw',
      // transformers' own AdamW of that time goes weight by weight.
      optimizerImplementation: 'single',
      checkpointing: row.grad_checkpointing ? 'full' : 'none',
      accumulation: Number(accumulation ?? 1),
      clipGradNorm: 1,
      attention: 'math',
      // Module.zero_grad before PyTorch 2.0 leaves zeros.
      zeroGrad: 'to-zero',
      zeroGradPosition: 'after-step',
    };
    return [
      {
        id: `BERT large batch ${row.batch_per_gpu} ${row.precision} ${setup.optimizer} ${row.grad_checkpointing ? 'checkpointing' : ''}`,
        group: 'BERT large, V100, NVML',
        model: { config, options: { seq: 512, attention: 'math' } },
        setup,
        device: 'v100-16gb',
        // The text does not say which PyTorch; with the softmax of 1.11 and later 1.1 to 1.5 GiB are missing at batch 4.
        stack: { moduleLoading: 'eager', release: [1, 10] },
        counter: 'deviceBytes',
        actual: row.peak_mem_gb * GIB,
      },
    ];
  });
}

/**
 * google-research/bert: the largest batch that ran with TensorFlow 1.11 and its Adam on a Titan X of 12 GB (a Pascal card, as the
 * P100 is), by length; none ran of BERT large from 384 tokens on. How far apart the tried batches lie is not stated.
 */
function bertCalls(truth) {
  return lines(truth, 'misc_docs_blogs.jsonl.gz').flatMap((row) => {
    const sizes = { 'BERT-Base': BERT_BASE, 'BERT-Large': BERT_LARGE }[row.model];
    if (!sizes) return [];
    const config = { ...sizes, model_type: 'bert', architectures: ['BertForSequenceClassification'] };
    const batch = row.max_batch_fits || row.next_batch_ooms;
    return [
      {
        id: `${row.model} ${row.input} tokens batch ${batch}`,
        group: 'BERT, Titan X, TensorFlow 1.11: call',
        model: { config, options: { seq: Number(row.input), attention: 'math' } },
        setup: { batch, optimizer: 'adam', clipGradNorm: 1, attention: 'math', framework: 'tensorflow' },
        device: 'p100',
        memory: '12GiB',
        counter: 'call',
        actual: row.max_batch_fits > 0,
      },
    ];
  });
}

/**
 * litgpt: LoRA of rank 8 on queries and values, all weights in bf16 or (nf4-dq) the linear ones in four bits, the longest
 * example of Alpaca; decimal gigabytes.
 */
function litgptRows(truth) {
  return lines(truth, 'litgpt.jsonl.gz').flatMap((row) => {
    const [, size, quantized] = /^Llama 2 (.*) \[lora( bnb\.nf4-dq)?\]$/.exec(row.model) ?? [];
    if (!size || !row.precision.startsWith('bf16-true') || row.n_gpus !== 1) return [];
    const config = { ...LLAMA_2[size], vocab_size: 32000, model_type: 'llama', architectures: ['LlamaForCausalLM'] };
    const asked = {
      id: `Llama 2 ${size} ${quantized ? 'QLoRA' : 'LoRA'} batch ${row.batch_per_gpu}`,
      model: { config, options: { seq: row.input } },
      setup: {
        batch: row.batch_per_gpu,
        precision: 'bf16',
        optimizer: 'adamw',
        method: quantized ? 'qlora' : 'lora',
        loraRank: 8,
        loraTargets: ['q_proj', 'v_proj'],
        accumulation: Math.max(1, 128 / row.batch_per_gpu),
      },
      device: 'a100-40gb',
    };
    if (row.peak_mem_gb === null) return [{ ...asked, group: 'litgpt, out of memory', counter: 'call', actual: false }];
    // Until 2024 a layer in four bits held on to its input (MatMul4Bit's ctx.tensors); now it does not.
    const group = quantized ? 'litgpt QLoRA, allocated' : 'litgpt, allocated';
    return [{ ...asked, group, counter: 'allocatedBytes', actual: row.peak_mem_gb * 1e9 }];
  });
}

/**
 * Qwen's table: its scripts' setups, which pass checkpointing; counter not stated. Its G is taken for 10^9 bytes: two cards of
 * 80 GiB are said to hold 162.0G. LoRA has rank 64 on every projection of a layer, with ZeRO-2 where there are several
 * devices; full fine-tuning has ZeRO-3.
 */
const QWEN_METHODS = {
  LoRA: { group: 'Qwen LoRA', setup: { method: 'lora' } },
  'LoRA (multinode)': { group: 'Qwen LoRA, ZeRO-2', setup: { method: 'lora', sharding: 'zero2' } },
  'Full-parameter': { group: 'Qwen full, ZeRO-3', setup: { sharding: 'zero3' } },
};

function qwenRows(truth) {
  return lines(truth, 'qwen_finetune_profile.jsonl.gz').flatMap((row) => {
    const [, size, name] = /^Qwen-(\w+) \[(.*)\]$/.exec(row.model) ?? [];
    const method = QWEN_METHODS[name];
    if (!method || !QWEN[size]) return [];
    const config = {
      ...QWEN[size],
      model_type: 'qwen2',
      architectures: ['Qwen2ForCausalLM'],
      num_key_value_heads: QWEN[size].num_attention_heads,
    };
    return [
      {
        id: `Qwen-${size} ${name} ${row.input} tokens`,
        group: method.group,
        model: { config: { ...config, tie_word_embeddings: false, max_position_embeddings: 8192 }, options: { seq: Number(row.input) } },
        setup: {
          batch: 1,
          precision: 'bf16',
          optimizer: 'adamw',
          checkpointing: 'full',
          loraRank: 64,
          loraTargets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
          accumulation: 8,
          gpus: row.n_gpus,
          ...method.setup,
        },
        device: 'a100-80gb',
        counter: 'deviceBytes',
        actual: row.peak_mem_gb * 1e9,
      },
    ];
  });
}
