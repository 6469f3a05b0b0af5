/** Rows of op-level truth as setups, and the product's answer to each. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Simulator } from '../../src/memory/simulator.js';
import type { ModelGraph } from '../../src/model/graph.js';
import { readModel } from '../../src/model/open.js';
import type { Head } from '../../src/model/options.js';
import { DEFAULT_SETUP, type Setup } from '../../src/setup.js';

export interface TruthRow {
  setup: {
    kind: 'timm' | 'hf';
    model: string;
    model_type?: string;
    head?: string;
    config?: object;
    batch: number;
    seq?: number;
    precision: Setup['precision'];
    optimizer: Setup['optimizer'];
    impl?: Setup['optimizerImplementation'];
    checkpointing?: 'full' | 'selective';
    attention?: 'eager' | 'sdpa';
    zero_grad?: Setup['zeroGradPosition'];
    hold?: boolean;
    accumulation?: number;
    clip?: boolean;
    lora?: { rank: number; targets: string[] };
  };
  /** What decides the peak, where the row is there for it. */
  mechanism?: string;
  /** What the setup means beyond the fields above. */
  flags?: Partial<Setup>;
  truth: { parameters: number; peakAllocatedBytes: number; peakReservedBytes: number; peakAt: string };
}

export function readTruth(file = 'op-truth.json'): TruthRow[] {
  return JSON.parse(readFileSync(new URL(`./fixtures/${file}`, import.meta.url), 'utf8')) as TruthRow[];
}

const HEADS: Record<string, Head> = {
  clm: 'causal-lm',
  mlm: 'masked-lm',
  s2s: 'seq2seq-lm',
  cls: 'sequence-classification',
  tok: 'token-classification',
};
/** Families that the truth ran with attention written out. */
const WRITTEN_OUT = new Set(['gpt_neo', 't5', 'deberta-v2', 'bloom']);

export function setupOf({ setup, flags }: TruthRow): Setup {
  return {
    ...DEFAULT_SETUP,
    batch: setup.batch,
    precision: setup.precision,
    optimizer: setup.optimizer,
    optimizerImplementation: setup.impl ?? 'foreach',
    checkpointing: setup.checkpointing ?? 'none',
    attention: isWrittenOut(setup) ? 'math' : 'auto',
    zeroGradPosition: setup.zero_grad ?? 'after-step',
    // The tracer's timm loop keeps no outputs: its loss is computed from the call's own result.
    keepOutputs: setup.hold === true && setup.kind === 'hf',
    accumulation: setup.accumulation ?? 1,
    clipGradNorm: setup.clip ? 1 : null,
    ...(setup.lora ? { method: 'lora', loraRank: setup.lora.rank, loraTargets: setup.lora.targets } : {}),
    ...flags,
  };
}

function isWrittenOut(setup: TruthRow['setup']): boolean {
  return setup.attention === 'eager' || (!setup.attention && WRITTEN_OUT.has(setup.model_type ?? ''));
}

const folder = mkdtempSync(join(tmpdir(), 'batchfit-truth-'));

export async function modelOf({ setup }: TruthRow): Promise<ModelGraph> {
  if (setup.kind === 'timm') return readModel(`timm:${setup.model}`);
  const type = setup.model_type ?? '';
  const path = join(folder, 'config.json');
  writeFileSync(path, JSON.stringify({ ...setup.config, model_type: type }));
  return readModel(path, { seq: setup.seq, head: HEADS[setup.head ?? ''], attention: isWrittenOut(setup) ? 'math' : 'auto' });
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
