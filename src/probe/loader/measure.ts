/** Measures a data loader at several numbers of workers, one fresh child a point. A failing point is a value. */
import { fileURLToPath } from 'node:url';
import { UsageError } from '../../errors.js';
import type { Seconds } from '../../units.js';
import { type ChildResult, runChild } from '../child.js';
import { readSaid } from '../engines/command/said.js';
import { requireTorch } from '../engines/torch/engine.js';
import { findTorch, type TorchCheck } from '../engines/torch/python.js';
import { classify } from '../outcome.js';
import { readReport } from '../report.js';
import { type LoaderPoint, readLoaderLine } from './point.js';

const PROGRAM = fileURLToPath(new URL('../engines/torch/loader.py', import.meta.url));
const PLACE = '{workers}';

export type LoaderSource =
  /** `file.py:function`; null is made-up images. */
  | { kind: 'dataset'; reference: string | null }
  /** Program and arguments with `{workers}`; `samples` is what one run loads, where the command does not say its rate. */
  | { kind: 'command'; command: string[]; samples: number | null };

export interface LoaderRequest {
  source: LoaderSource;
  /** In the order in which they are tried. */
  workers: number[];
  /** null takes the loader's own, or 32. */
  batch: number | null;
  prefetch: number;
  /** null pins where there is a device to copy to. */
  pinMemory: boolean | null;
  shuffle: boolean;
  /** Time that batches are counted for. */
  seconds: Seconds;
  /** For one point with its start. */
  timeoutSeconds: Seconds;
}

/** Throws MissingError without PyTorch or the program, UsageError for what cannot be measured, the signal's reason when aborted. */
export async function measureLoader(
  request: LoaderRequest,
  signal: AbortSignal,
  onPoint: (point: LoaderPoint) => void,
): Promise<LoaderPoint[]> {
  const python = request.source.kind === 'dataset' ? requireTorch(await findTorch(signal)).python : null;
  const points: LoaderPoint[] = [];
  const tryPoint = async (workers: number, change: Partial<LoaderRequest> = {}) => {
    const point = await measurePoint({ ...request, ...change }, workers, python, signal);
    onPoint(point);
    points.push(point);
  };
  for (const workers of request.workers) await tryPoint(workers);
  const fastest = fastestOf(points);
  if (python === null || fastest === null) return points;
  // Deeper queues help where batches take unevenly long.
  if (fastest.workers > 0) await tryPoint(fastest.workers, { prefetch: request.prefetch * 2 });
  // What the random order costs: reads that jump about a disk.
  if (fastest.shuffles) await tryPoint(fastest.workers, { shuffle: false });
  return points;
}

export function fastestOf(points: LoaderPoint[]): LoaderPoint | null {
  const working = points.filter(({ samplesPerSecond }) => samplesPerSecond !== null);
  return working.reduce<LoaderPoint | null>(
    (best, point) => (best && best.samplesPerSecond! >= point.samplesPerSecond! ? best : point),
    null,
  );
}

async function measurePoint(
  request: LoaderRequest,
  workers: number,
  python: TorchCheck['python'] | null,
  signal: AbortSignal,
): Promise<LoaderPoint> {
  const { source, timeoutSeconds, batch, prefetch, pinMemory, shuffle, seconds } = request;
  const limits = { timeoutSeconds, memoryCapBytes: null, signal };
  if (source.kind === 'command') {
    const [program, ...words] = source.command.map((word) => word.replaceAll(PLACE, String(workers))) as [string, ...string[]];
    const child = await runChild({ command: [program, ...words], environment: { BATCHFIT_WORKERS: String(workers) }, ...limits });
    return commandPoint(child, workers, prefetch, source.samples);
  }
  const input = JSON.stringify({ reference: source.reference, workers, batch, prefetch, pinMemory, shuffle, seconds });
  const environment = { PYTHONDONTWRITEBYTECODE: '1', OMP_WAIT_POLICY: 'PASSIVE' };
  const child = await runChild({ command: [python!.path, PROGRAM], input, environment, ...limits });
  return datasetPoint(child, workers, prefetch);
}

function datasetPoint(child: ChildResult, workers: number, prefetch: number): LoaderPoint {
  const { outcome, evidence } = classify(child, readReport(child.reportText), true);
  const line = readLoaderLine(child.reportText);
  if (outcome === 'unsupported')
    throw new UsageError(
      'BAD_DATASET',
      evidence,
      'the function returns a Dataset or a DataLoader, or takes the number of workers and returns one',
    );
  const failed = outcome !== 'fits' || line === null;
  return {
    ...{
      workers,
      prefetch,
      outcome,
      evidence: failed ? explain(child, evidence) : `${line.samples} samples in ${line.seconds.toFixed(1)} s`,
    },
    samplesPerSecond: failed ? null : line.samples / line.seconds,
    hostBytes: failed ? null : line.workerBytes,
    firstBatchSeconds: line?.firstBatchSeconds ?? null,
    batch: line?.batch ?? null,
    accelerator: line?.accelerator ?? false,
    pinMemory: line?.pinMemory ?? false,
    shuffles: line?.shuffles ?? null,
  };
}

/** Workers that die for shared memory say so in the main process or die of a bus error. */
function explain(child: ChildResult, evidence: string): string {
  const text = `${evidence}\n${child.stderr}`;
  if (/shared memory|shm|Bus error/i.test(text)) return `shared memory ran out (/dev/shm; in a container: --shm-size): ${evidence}`;
  if (/exited unexpectedly/.test(text)) return `a worker died: ${evidence}`;
  return evidence;
}

function commandPoint(child: ChildResult, workers: number, prefetch: number, samples: number | null): LoaderPoint {
  const { outcome, evidence } = classify(child, null, false);
  const said = readSaid(child.stdout).samplesPerSecond;
  if (outcome === 'fits' && said === null && samples === null) {
    throw new UsageError(
      'RATE_UNKNOWN',
      'the command did not print its rate, and how many samples it loads is not known',
      'print BATCHFIT {"samplesPerSecond": X}, or give --samples N',
    );
  }
  const failed = outcome !== 'fits';
  return {
    ...{ workers, prefetch, outcome, evidence: failed ? evidence : `exit code 0 after ${child.seconds.toFixed(1)} s` },
    samplesPerSecond: failed ? null : (said ?? samples! / child.seconds),
    hostBytes: child.processPeakBytes,
    ...{ firstBatchSeconds: null, batch: null, accelerator: false, pinMemory: false, shuffles: null },
  };
}
