/** Reads a Hugging Face config.json: the family by `model_type`, the head by `architectures`. */
import { UsageError } from '../../../errors.js';
import type { ModelGraph, ModelSource } from '../../graph.js';
import { nearestNames } from '../../nearest.js';
import { HEADS, type Head, type ModelOptions } from '../../options.js';
import { configError } from './config.js';
import { canFuseAttention, fusesAttention, parseRelease } from './release.js';
import type { Request } from './text.js';

interface Family {
  /** The head of a config that names no architecture. */
  head: Head;
  /** Loaded on first use: each family is a file of its own. */
  load(): Promise<(request: Request) => ModelGraph>;
}

const FAMILIES: Record<string, Family> = {
  gpt2: { head: 'causal-lm', load: async () => (await import('./gpt2.js')).readGpt2 },
  llama: { head: 'causal-lm', load: async () => (await import('./llama.js')).readLlama },
  mistral: { head: 'causal-lm', load: async () => (await import('./llama.js')).readMistral },
  mixtral: { head: 'causal-lm', load: async () => (await import('./llama.js')).readMixtral },
  qwen2: { head: 'causal-lm', load: async () => (await import('./llama.js')).readQwen2 },
  qwen3: { head: 'causal-lm', load: async () => (await import('./llama.js')).readQwen3 },
  gemma: { head: 'causal-lm', load: async () => (await import('./llama.js')).readGemma },
  phi: { head: 'causal-lm', load: async () => (await import('./phi.js')).readPhi },
  gpt_neox: { head: 'causal-lm', load: async () => (await import('./gpt-neox.js')).readGptNeoX },
  gpt_neo: { head: 'causal-lm', load: async () => (await import('./gpt-neo.js')).readGptNeo },
  bloom: { head: 'causal-lm', load: async () => (await import('./bloom.js')).readBloom },
  opt: { head: 'causal-lm', load: async () => (await import('./opt.js')).readOpt },
  bert: { head: 'masked-lm', load: async () => (await import('./bert.js')).readBert },
  distilbert: { head: 'masked-lm', load: async () => (await import('./distilbert.js')).readDistilBert },
  albert: { head: 'masked-lm', load: async () => (await import('./albert.js')).readAlbert },
  t5: { head: 'seq2seq-lm', load: async () => (await import('./t5.js')).readT5 },
  bart: { head: 'seq2seq-lm', load: async () => (await import('./bart.js')).readBart },
  'deberta-v2': { head: 'masked-lm', load: async () => (await import('./deberta-v2.js')).readDebertaV2 },
  roberta: { head: 'masked-lm', load: async () => (await import('./bert.js')).readRoberta },
  electra: { head: 'masked-lm', load: async () => (await import('./bert.js')).readElectra },
  gemma2: { head: 'causal-lm', load: async () => (await import('./llama.js')).readGemma2 },
};

/** Ends of architecture names, and the heads that they are. */
const ARCHITECTURES: [ending: RegExp, head: Head][] = [
  [/(ForCausalLM|LMHeadModel)$/, 'causal-lm'],
  [/ForMaskedLM$/, 'masked-lm'],
  [/ForSequenceClassification$/, 'sequence-classification'],
  [/ForTokenClassification$/, 'token-classification'],
  [/ForConditionalGeneration$/, 'seq2seq-lm'],
  [/ForImageClassification$/, 'image-classification'],
];

/**
 * The training graph of the model that a parsed config.json describes, with the defaults of its config class.
 * Throws UsageError naming the file and the field.
 */
export async function readHuggingFaceConfig(document: unknown, source: ModelSource, options: ModelOptions): Promise<ModelGraph> {
  const raw = document as Record<string, unknown>;
  const file = source.reference;
  const type = raw.model_type;
  if (typeof type !== 'string') throw configError(file, 'model_type', 'missing', 'a config.json names its family: "model_type": "llama"');
  const family = Object.hasOwn(FAMILIES, type) ? FAMILIES[type] : undefined;
  if (!family) {
    const near = nearestNames(type, Object.keys(FAMILIES));
    const hint = near.length > 0 ? `did you mean ${near.join(' or ')}?` : `the families are ${Object.keys(FAMILIES).join(', ')}`;
    throw new UsageError(
      'UNSUPPORTED_MODEL',
      `${file}: model_type: "${type}" is not supported yet`,
      `${hint}; other models: batchfit trace`,
    );
  }
  if (options.image) throw new UsageError('BAD_MODEL_OPTION', `--image: ${type} reads text`, 'its length is --seq');
  const release = parseRelease(raw.transformers_version);
  const { attention = 'auto' } = options;
  const eager = attention === 'math' || !canFuseAttention(type) || (attention === 'auto' && !fusesAttention(release, type));
  const head = headOf(raw, file, family, options);
  if (options.classes !== undefined && !head.endsWith('classification')) {
    throw new UsageError('BAD_MODEL_OPTION', `--classes: the head ${head} has its vocabulary`, 'choose a classification with --head');
  }
  const read = await family.load();
  const graph = read({ raw, file, name: modelName(raw, type), source, head, release, eager, options });
  return raw.use_cache === false ? { ...graph, returnsCache: false } : graph;
}

function headOf(raw: Record<string, unknown>, file: string, family: Family, options: ModelOptions): Head {
  if (options.head !== undefined) {
    const head = HEADS.find((name) => name === options.head);
    if (!head) throw new UsageError('BAD_MODEL_OPTION', `--head: expected one of ${HEADS.join(', ')}, found "${options.head}"`);
    return head;
  }
  if (raw.architectures === undefined || raw.architectures === null) return family.head;
  const name = Array.isArray(raw.architectures) ? raw.architectures[0] : undefined;
  if (typeof name !== 'string')
    throw configError(file, 'architectures', `expected a list of class names, found ${JSON.stringify(raw.architectures)}`);
  const known = ARCHITECTURES.find(([ending]) => ending.test(name));
  if (!known)
    throw configError(file, 'architectures', `${name} has no head that is supported`, `choose one with --head: ${HEADS.join(', ')}`);
  return known[1];
}

function modelName(raw: Record<string, unknown>, type: string): string {
  return typeof raw._name_or_path === 'string' && raw._name_or_path !== '' ? raw._name_or_path : type;
}
