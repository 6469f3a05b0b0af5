/** From the flags of `probe` to a trial request: the engine, what it trains, its cap and where the search begins. */
import { BatchfitError, MissingError, UsageError, type Warning } from '../../errors.js';
import { readMemory } from '../../machine/host.js';
import { thisSystem } from '../../machine/system.js';
import { resolveTarget } from '../../machine/target.js';
import { Estimator } from '../../memory/estimate.js';
import type { ModelGraph } from '../../model/graph.js';
import type { ModelOptions } from '../../model/options.js';
import type { Engine, EngineName, TrialModel } from '../../probe/engine.js';
import { createEngine } from '../../probe/engines/status.js';
import type { Setup } from '../../setup.js';
import { type Bytes, formatBytes, GIB } from '../../units.js';
import { openModel } from './model.js';

/** Share of the memory that is free now which a trial without --memory-cap may take: the machine has to stay alive. */
const SHARE_OF_AVAILABLE = 0.9;

/** Where a trial runs: what the user named, else the engine's best. */
export function probeDevice(device: string | undefined): string | null {
  if (device === undefined || /^(cuda|rocm|mps|cpu)(:\d+)?$/i.test(device)) return device?.toLowerCase() ?? null;
  throw new UsageError(
    'PROBE_ELSEWHERE',
    `--device ${device}: a probe measures this machine (cuda, cuda:1, rocm, mps or cpu)`,
    'leave --device out, or use batchfit estimate for other devices',
  );
}

/** The engine that was asked for; without one, command where there is a command, else the first that is ready. */
export async function chooseEngine(asked: EngineName | undefined, command: string[], model: string | undefined): Promise<Engine> {
  const name = asked ?? (command.length > 0 ? 'command' : undefined);
  if (name === 'command' && command.length === 0) {
    throw new UsageError(
      'COMMAND_MISSING',
      '--engine command: expected a command',
      'write it behind --: batchfit probe -- python3 train.py --batch {batch}',
    );
  }
  if (name !== 'command' && command.length > 0) {
    throw new UsageError(
      'COMMAND_AND_ENGINE',
      `a command is run by --engine command, found --engine ${name}`,
      'leave out --engine or the command',
    );
  }
  if (name === 'command' && model !== undefined) {
    throw new UsageError('MODEL_AND_COMMAND', `expected a MODEL or a command, found both (${model})`, 'leave one of them out');
  }
  if (name !== 'command' && model === undefined) {
    throw new UsageError(
      'MODEL_MISSING',
      'expected a MODEL, or a command behind --',
      'write: batchfit probe resnet18, or batchfit probe -- python3 train.py --batch {batch}',
    );
  }
  if (name !== undefined) return createEngine(name);
  const reasons: string[] = [];
  for (const each of ['torch', 'tfjs'] as const) {
    const engine = createEngine(each);
    const { status, reason } = await engine.status();
    if (status === 'ready') return engine;
    reasons.push(`${each}: ${reason}`);
  }
  throw new MissingError('NO_ENGINE', `a probe needs an engine: ${reasons.join('; ')}`, 'run: batchfit engines install torch, or tfjs');
}

/** Code that the torch engine builds itself is trained as it is; everything else is read as a graph. */
export async function trialModel(reference: string, options: ModelOptions, engine: EngineName, signal: AbortSignal): Promise<TrialModel> {
  if (engine === 'torch' && (reference.startsWith('hf:') || /\.py:\w+$/.test(reference))) {
    return { kind: 'code', reference, classes: options.classes ?? null, head: options.head ?? null };
  }
  return { kind: 'graph', graph: await openModel(reference, options, () => signal) };
}

/** The estimate's largest batch under the cap; null where no estimate can be made, and then the search begins small. */
export async function estimatedBatch(model: TrialModel, setup: Setup, device: string, cap: Bytes | null): Promise<number | null> {
  if (model.kind !== 'graph') return null;
  try {
    return await largestBatch(model.graph, setup, device, cap);
  } catch (error) {
    if (error instanceof BatchfitError) return null;
    throw error;
  }
}

async function largestBatch(graph: ModelGraph, setup: Setup, device: string, cap: Bytes | null): Promise<number | null> {
  const target = await resolveTarget(cap === null ? { device } : { device: 'cpu', memory: String(cap) });
  return new Estimator(graph, setup, target).largest('best') || null;
}

export interface Cap {
  bytes: Bytes;
  source: 'flag' | 'available';
}

/** Trials in host memory are always capped: without a cap the first one that does not fit takes the machine with it. */
export async function memoryCap(asked: Bytes | null, device: string | null): Promise<{ cap: Cap | null; warnings: Warning[] }> {
  if (asked !== null) return { cap: { bytes: asked, source: 'flag' }, warnings: [] };
  if (device !== null && device !== 'cpu') return { cap: null, warnings: [] };
  const { availableBytes } = await readMemory(thisSystem());
  const share = availableBytes * SHARE_OF_AVAILABLE;
  // In whole GiB where there are many, so that --resume meets the same cap again.
  const bytes = share > 4 * GIB ? Math.floor(share / GIB) * GIB : Math.floor(share);
  const message = `trials are capped at ${formatBytes(bytes)}, about ${SHARE_OF_AVAILABLE * 100} % of the memory that is free now`;
  return {
    cap: { bytes, source: 'available' },
    warnings: [{ code: 'DEFAULT_MEMORY_CAP', message, hint: 'set it yourself: --memory-cap 4GiB' }],
  };
}
