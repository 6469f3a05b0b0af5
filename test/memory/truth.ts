/** Rows of op-level truth as setups, and the product's answer to each. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Simulator } from '../../src/memory/simulator.js';
import type { ModelGraph } from '../../src/model/graph.js';
import { readModel } from '../../src/model/open.js';
import { DEFAULT_SETUP, type Setup } from '../../src/setup.js';

export interface TruthRow {
  setup: Record<string, unknown> & { kind: string; model: string; batch: number };
  truth: { parameters: number; peakAllocatedBytes: number; peakReservedBytes: number; peakAt: string };
}

export function readTruth(): TruthRow[] {
  return JSON.parse(readFileSync(new URL('./fixtures/op-truth.json', import.meta.url), 'utf8')) as TruthRow[];
}

const ARCHITECTURES: Record<string, string> = {
  gpt2: 'GPT2LMHeadModel',
  llama: 'LlamaForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
  gemma: 'GemmaForCausalLM',
  phi: 'PhiForCausalLM',
  opt: 'OPTForCausalLM',
  gpt_neox: 'GPTNeoXForCausalLM',
  gpt_neo: 'GPTNeoForCausalLM',
  t5: 'T5ForConditionalGeneration',
  bart: 'BartForConditionalGeneration',
};
const NAMES: Record<string, string> = { bert: 'Bert', distilbert: 'DistilBert', electra: 'Electra' };
const HEADS: Record<string, string> = { mlm: 'MaskedLM', cls: 'SequenceClassification' };
/** Families that the truth ran with attention written out. */
const WRITTEN_OUT = new Set(['gpt_neo', 't5', 'deberta-v2', 'bloom']);

export function setupOf(row: TruthRow): Setup {
  const s = row.setup as Record<string, never>;
  return {
    ...DEFAULT_SETUP,
    batch: row.setup.batch,
    precision: s['precision'] as unknown as Setup['precision'],
    optimizer: s['optimizer'] as unknown as Setup['optimizer'],
    optimizerImplementation: (s['impl'] as unknown as Setup['optimizerImplementation'] | undefined) ?? 'foreach',
    checkpointing: s['checkpointing'] ? 'full' : 'none',
    attention: isWrittenOut(row) ? 'math' : 'auto',
    zeroGradPosition: (s['zero_grad'] as unknown as Setup['zeroGradPosition'] | undefined) ?? 'after-step',
    keepOutputs: s['hold'] === (true as never) && row.setup.kind === 'hf',
    accumulation: (s['accumulation'] as unknown as number | undefined) ?? 1,
    clipGradNorm: s['clip'] ? 1 : null,
  };
}

function isWrittenOut(row: TruthRow): boolean {
  return row.setup['attention'] === 'eager' || WRITTEN_OUT.has(String(row.setup['model_type']));
}

const folder = mkdtempSync(join(tmpdir(), 'batchfit-truth-'));

export async function modelOf(row: TruthRow): Promise<ModelGraph> {
  if (row.setup.kind === 'timm') return readModel(`timm:${row.setup.model}`);
  const type = String(row.setup['model_type']);
  const config = {
    ...(row.setup['config'] as object),
    model_type: type,
    architectures: [ARCHITECTURES[type] ?? `${NAMES[type]}For${HEADS[String(row.setup['head'])]}`],
  };
  const path = join(folder, 'config.json');
  writeFileSync(path, JSON.stringify(config));
  return readModel(path, { seq: Number(row.setup['seq']), attention: isWrittenOut(row) ? 'math' : 'auto' });
}

export interface Answer {
  parameters: number;
  tensorBytes: number;
  tensorReservedBytes: number;
  peakAt: string;
}

/** The simulator's answer on the A100 that the truth was traced for. */
export async function answer(row: TruthRow): Promise<Answer> {
  const setup = setupOf(row);
  const simulator = new Simulator(await modelOf(row), setup, { capability: 80, outOfPlaceSums: true });
  const peak = simulator.tensorPeak(setup.batch);
  return {
    parameters: simulator.trace(setup.batch).parameters,
    tensorBytes: peak.bytes,
    tensorReservedBytes: simulator.reserved(setup.batch, false).peakReserved,
    peakAt: peak.at,
  };
}
