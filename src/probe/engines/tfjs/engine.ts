/** The tfjs engine: real training steps of a ModelGraph in TensorFlow.js, one fresh child process a trial. */
import { MissingError, type Warning } from '../../../errors.js';
import { runChild } from '../../child.js';
import type { Engine, EngineStatus, TrialRequest, TrialResult } from '../../engine.js';
import { trialFromChild } from '../../outcome.js';
import { checkCandidate, childCommand, childEnvironment, type LoadCheck } from './check.js';
import { engineFolder } from './folder.js';
import { type Candidate, locateTfjs } from './locate.js';
import type { TrainingOrder } from './order.js';

export interface Choice {
  candidate: Candidate;
  check: Extract<LoadCheck, { works: true }>;
  /** Better candidates that do not load, each with why. */
  broken: string[];
}

const INSTALL_HINT = 'run: batchfit engines install tfjs';

export function createTfjsEngine(workingDirectory: string = process.cwd()): Engine {
  let choice: Promise<Choice | { broken: string[] }> | undefined;
  const choose = () => (choice ??= chooseCandidate(workingDirectory));

  return {
    name: 'tfjs',

    async status(): Promise<EngineStatus> {
      const chosen = await choose();
      if ('candidate' in chosen) {
        const { candidate, check, broken } = chosen;
        const reason = [`${check.backend}, found in ${candidate.folder}`, ...broken].join('; ');
        return { name: 'tfjs', status: 'ready', version: candidate.version, device: check.device, reason };
      }
      if (chosen.broken.length > 0)
        return { name: 'tfjs', status: 'broken', version: null, device: null, reason: chosen.broken.join('; ') };
      const reason = `no TensorFlow.js in ${workingDirectory} or ${engineFolder('tfjs')}; ${INSTALL_HINT}`;
      return { name: 'tfjs', status: 'missing', version: null, device: null, reason };
    },

    async runTrial(request: TrialRequest, signal: AbortSignal): Promise<TrialResult> {
      const chosen = await choose();
      signal.throwIfAborted();
      if (!('candidate' in chosen)) throw missing(chosen.broken);
      const refusal = refuse(request, chosen.check.device);
      if (refusal) return unsupported(request, refusal);
      const child = await runChild({
        command: childCommand(),
        environment: environmentOf(request, chosen),
        input: JSON.stringify(orderOf(request, chosen.candidate)),
        timeoutSeconds: request.timeoutSeconds,
        memoryCapBytes: request.memoryCapBytes,
        signal,
      });
      const result = trialFromChild(child, request);
      return { ...result, warnings: [...result.warnings, ...fallbackWarnings(chosen)] };
    },
  };
}

export async function chooseCandidate(workingDirectory: string): Promise<Choice | { broken: string[] }> {
  const broken: string[] = [];
  for (const candidate of locateTfjs(workingDirectory)) {
    const check = await checkCandidate(candidate).catch((error: Error): LoadCheck => ({ works: false, reason: error.message }));
    if (check.works) return { candidate, check, broken };
    broken.push(`@tensorflow/${candidate.flavor} ${candidate.version} in ${candidate.folder} does not load: ${check.reason}`);
  }
  return { broken };
}

export function missing(broken: string[]): MissingError {
  if (broken.length === 0) return new MissingError('ENGINE_MISSING', 'the tfjs engine is not installed', INSTALL_HINT);
  return new MissingError(
    'ENGINE_BROKEN',
    `the tfjs engine does not load: ${broken.join('; ')}`,
    `repair that package, or ${INSTALL_HINT}`,
  );
}

/** What this engine cannot do whatever the model: other kinds of models, and devices that it does not have. */
export function refuse(request: TrialRequest, device: string): string | null {
  if (request.model.kind !== 'graph') return 'the tfjs engine runs graphs: a profile, a spec, a config.json or an exported graph';
  const wanted = request.device?.split(':')[0];
  if (wanted && wanted !== 'cpu' && wanted !== device) return `TensorFlow.js runs on "${device}" here, not on "${request.device}"`;
  return null;
}

export function environmentOf(request: TrialRequest, { candidate, check }: Choice): Record<string, string> {
  return { ...childEnvironment(candidate), ...deviceEnvironment(request, check.device) };
}

function deviceEnvironment(request: TrialRequest, device: string): Record<string, string> {
  if (device !== 'cuda') return {};
  const index = request.device?.split(':')[1];
  if (request.device === 'cpu') return { CUDA_VISIBLE_DEVICES: '-1' };
  return {
    ...(index === undefined ? {} : { CUDA_VISIBLE_DEVICES: index }),
    // TensorFlow uses TF32 on its own where the card has it.
    ...(request.setup.precision === 'fp32' ? { NVIDIA_TF32_OVERRIDE: '0' } : {}),
  };
}

export function orderOf(request: TrialRequest, candidate: Candidate): TrainingOrder {
  if (request.model.kind !== 'graph') throw new TypeError('not a graph');
  const { setup, sizes, steps, warmupSteps } = request;
  return { flavor: candidate.flavor, entry: candidate.entry, graph: request.model.graph, setup, sizes, steps, warmupSteps };
}

function unsupported(request: TrialRequest, evidence: string): TrialResult {
  return {
    batch: request.setup.batch,
    outcome: 'unsupported',
    evidence,
    peakBytes: null,
    reservedBytes: null,
    deviceBytes: null,
    processPeakBytes: null,
    stepSeconds: [],
    samplesPerSecond: null,
    device: null,
    seconds: 0,
    warnings: [],
  };
}

function fallbackWarnings({ candidate, broken }: Choice): Warning[] {
  const warnings: Warning[] = broken.map((message) => ({ code: 'TFJS_BROKEN', message, hint: INSTALL_HINT }));
  if (candidate.flavor === 'tfjs') {
    const message =
      'TensorFlow.js runs in pure JavaScript, about a hundred times slower than natively; its memory is not that of TensorFlow';
    warnings.push({ code: 'TFJS_PURE_JS', message, hint: INSTALL_HINT });
  }
  return warnings;
}
