/**
 * Reads how a trial ended. "Does not fit" needs evidence of memory running out: the framework's own error, or an
 * out-of-memory kill that the kernel counted. Everything else that ends badly is a crash.
 */
import type { ChildResult } from './child.js';
import type { Outcome, TrialRequest, TrialResult } from './engine.js';
import { readReport, type TrialReport } from './report.js';

export interface Verdict {
  outcome: Outcome;
  evidence: string;
}

/** What frameworks and libraries say when memory runs out, with where it ran out. */
const OUT_OF_MEMORY: { where: 'device' | 'host'; pattern: RegExp }[] = [
  { where: 'device', pattern: /(CUDA|HIP|XPU|NPU|MPS backend) out of memory/i },
  { where: 'device', pattern: /torch\.(cuda\.)?OutOfMemoryError/ },
  { where: 'device', pattern: /CUDA error: out of memory|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|hipErrorOutOfMemory/ },
  { where: 'device', pattern: /CU(DNN|BLAS|FFT|SPARSE|SOLVER)_STATUS_(ALLOC_FAILED|INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)/ },
  { where: 'device', pattern: /(MIOPEN|ROCBLAS|HIPBLAS)_STATUS_ALLOC(ATION)?_FAILED|miopenStatusAllocFailed|rocblas_status_memory_error/i },
  // cuDNN finds no algorithm whose workspace fits in what is left.
  { where: 'device', pattern: /cuDNN error: CUDNN_STATUS_NOT_SUPPORTED/ },
  { where: 'device', pattern: /OOM when allocating tensor|RESOURCE_EXHAUSTED|ResourceExhausted(Error)?|Resource exhausted:/ },
  { where: 'device', pattern: /Out of memory (while trying to allocate|allocating) \d+/i },
  { where: 'host', pattern: /DefaultCPUAllocator: (can't allocate memory|not enough memory)/ },
  { where: 'host', pattern: /^(\w+\.)*(_ArrayMemoryError|MemoryError)\b/m },
  { where: 'host', pattern: /std::bad_alloc|Unable to allocate [\d.]+ [KMGT]?iB|Cannot allocate memory/ },
  { where: 'host', pattern: /Array buffer allocation failed|JavaScript heap out of memory|Invalid typed array length/ },
];

/** The line in which a framework says that memory ran out, and where it did; null when it does not say so. */
export function findOutOfMemory(text: string): { where: 'device' | 'host'; line: string } | null {
  for (const { where, pattern } of OUT_OF_MEMORY) {
    const match = pattern.exec(text);
    if (match) return { where, line: lineAt(text, match.index) };
  }
  return null;
}

/** How the child ended. `report` is null for a child that speaks no report (the command engine). */
export function classify(child: ChildResult, report: TrialReport | null, needsReport: boolean): Verdict {
  const ending = describeEnding(child, report);
  const kills = child.oomKills.inChild ?? 0;
  if (kills > 0) {
    const which = `${child.cap.kind} of ${child.cap.capBytes} bytes: oom_kill ${kills}`;
    return { outcome: 'oom', evidence: `host memory: the kernel killed ${kills} process${kills > 1 ? 'es' : ''} (${which}); ${ending}` };
  }
  if (report?.status === 'oom') return { outcome: 'oom', evidence: `${report.error ?? 'out of memory'}; ${ending}` };
  if (report?.status === 'unsupported') return { outcome: 'unsupported', evidence: report.error ?? ending };
  if (child.exitCode === 0 && !child.timedOut && (!needsReport || report?.status === 'done'))
    return { outcome: 'fits', evidence: 'every step ran' };
  if (child.timedOut) return { outcome: 'timeout', evidence: `still running after ${child.seconds.toFixed(1)} s; ${ending}` };
  const said = findOutOfMemory(`${report?.error ?? ''}\n${child.stderr}\n${child.stdout}`);
  if (said) return { outcome: 'oom', evidence: `${said.where} memory: ${said.line}; ${ending}` };
  if (wasKilled(child) && (child.oomKills.around ?? 0) > 0) {
    return {
      outcome: 'oom',
      evidence: `host memory: the kernel counted ${child.oomKills.around} out-of-memory kill(s) on this machine; ${ending}`,
    };
  }
  const line = report?.error ?? lastLine(child.stderr) ?? lastLine(child.stdout);
  return { outcome: 'crash', evidence: line ? `${ending}: ${line}` : ending };
}

/** A trial's result from a child that reports on file descriptor 3. */
export function trialFromChild(child: ChildResult, request: TrialRequest): TrialResult {
  const report = readReport(child.reportText);
  const { outcome, evidence } = classify(child, report, true);
  return {
    batch: request.setup.batch,
    outcome,
    evidence,
    peakBytes: report?.peakBytes ?? null,
    reservedBytes: report?.reservedBytes ?? null,
    deviceBytes: report?.deviceBytes ?? null,
    processPeakBytes: highest(report?.processPeakBytes ?? null, child.processPeakBytes),
    stepSeconds: report?.stepSeconds ?? [],
    samplesPerSecond: null,
    device: report?.device ?? null,
    seconds: child.seconds,
    warnings: [...child.warnings, ...(report?.warnings ?? [])],
  };
}

function describeEnding(child: ChildResult, report: TrialReport | null): string {
  const how = child.signal ? `ended by ${child.signal}` : `exit code ${child.exitCode}`;
  const where = report?.phase && report.status !== 'done' ? ` in ${report.phase}` : '';
  return how + where;
}

/** SIGKILL, seen directly or through a shell or launcher (128 + 9, or Python's -9 as a byte). */
function wasKilled(child: ChildResult): boolean {
  return child.signal === 'SIGKILL' || child.exitCode === 137 || child.exitCode === 247;
}

function highest(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.max(a, b);
}

function lineAt(text: string, index: number): string {
  const start = text.lastIndexOf('\n', index) + 1;
  const end = text.indexOf('\n', index);
  return text
    .slice(start, end < 0 ? undefined : end)
    .trim()
    .slice(0, 400);
}

function lastLine(text: string): string | null {
  return text.trim().split('\n').at(-1)?.trim().slice(0, 400) || null;
}
