/** The torch engine: real training steps of a ModelGraph or of a real module in PyTorch, one fresh process a trial. */
import { fileURLToPath } from 'node:url';
import { MissingError } from '../../../errors.js';
import type { Setup } from '../../../setup.js';
import { runChild } from '../../child.js';
import type { Engine, EngineStatus, TrialRequest, TrialResult } from '../../engine.js';
import { trialFromChild } from '../../outcome.js';
import { findTorch, type TorchCheck } from './python.js';

export const WORKER = fileURLToPath(new URL('./worker.py', import.meta.url));
const INSTALL_HINT = 'run: batchfit engines install torch, or name a Python that has it in BATCHFIT_PYTHON';

export function createTorchEngine(): Engine {
  let search: ReturnType<typeof findTorch> | undefined;
  const find = (signal: AbortSignal) => (search ??= findTorch(signal));

  return {
    name: 'torch',

    async status(): Promise<EngineStatus> {
      const found = await find(new AbortController().signal);
      if ('torch' in found) {
        const reason = `${found.python.path}, ${found.python.origin}`;
        return { name: 'torch', status: 'ready', version: found.torch, device: found.device, reason };
      }
      const broken = found.reasons.some((reason) => !reason.includes('ModuleNotFoundError'));
      const reason = [...found.reasons, INSTALL_HINT].join('; ');
      return { name: 'torch', status: broken ? 'broken' : 'missing', version: null, device: null, reason };
    },

    async runTrial(request: TrialRequest, signal: AbortSignal): Promise<TrialResult> {
      const { python } = requireTorch(await find(signal));
      const refusal = refuse(request.setup);
      if (refusal) return unsupported(request, refusal);
      const child = await runChild({
        command: [python.path, WORKER],
        input: JSON.stringify(request),
        environment: { PYTHONDONTWRITEBYTECODE: '1' },
        timeoutSeconds: request.timeoutSeconds,
        memoryCapBytes: request.memoryCapBytes,
        signal,
      });
      return trialFromChild(child, request);
    },
  };
}

export function requireTorch(found: TorchCheck | { reasons: string[] }): TorchCheck {
  if ('torch' in found) return found;
  const why = found.reasons.length > 0 ? found.reasons.join('; ') : 'no Python was found';
  throw new MissingError('ENGINE_MISSING', `no Python with PyTorch: ${why}`, INSTALL_HINT);
}

/** What one process on one device cannot stand for, whatever the model. */
function refuse(setup: Setup): string | null {
  if (setup.method !== 'full') return `--method ${setup.method}: the torch engine trains all parameters of a graph`;
  if (setup.tensorParallel > 1) return '--tensor-parallel: the torch engine runs on one device';
  if (setup.gpus > 1 && setup.sharding !== 'ddp') return `--sharding ${setup.sharding}: the torch engine runs on one device`;
  if (setup.checkpointing === 'selective') return '--checkpointing selective: the torch engine recomputes whole regions (full) or none';
  if (setup.framework !== 'torch') return `--framework ${setup.framework}: the torch engine runs PyTorch`;
  return null;
}

function unsupported({ setup }: TrialRequest, evidence: string): TrialResult {
  const none = { peakBytes: null, reservedBytes: null, deviceBytes: null, processPeakBytes: null, samplesPerSecond: null, device: null };
  return { batch: setup.batch, outcome: 'unsupported', evidence, ...none, stepSeconds: [], seconds: 0, warnings: [] };
}
