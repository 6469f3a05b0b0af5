/** What a data loader needs for a plan: workers, batches in flight, and the host memory they take. */
import type { Bytes } from '../units.js';

export interface LoaderRequest {
  /** Samples in a micro batch. */
  micro: number;
  /** Replicas that share this host. */
  replicas: number;
  /** Cores that this host lets us use; null when planning for another machine. */
  usableCores: number | null;
  sampleBytes: Bytes | null;
  /** The device has memory of its own that batches are copied to. */
  accelerator: boolean;
}

export interface LoaderAdvice {
  /** Worker processes for each replica. */
  workers: number;
  /** Batches that each worker prepares ahead. */
  prefetch: number;
  pinMemory: boolean;
  /** Host memory of the batches in flight over all replicas; null when the size of a sample is not known. */
  hostBytes: Bytes | null;
  source: 'assumed';
  why: string;
}

/** timm's default, and the start that batchfit measures from (`batchfit loader`). */
const WORKERS = 4;
/** PyTorch's default prefetch_factor. */
const PREFETCH = 2;

/** workers * prefetch batches are in flight for each replica, and one more copy of each is pinned (PyTorch data loader). */
export function adviseLoader({ micro, replicas, usableCores, sampleBytes, accelerator }: LoaderRequest): LoaderAdvice {
  const share = usableCores === null ? WORKERS : Math.floor(usableCores / replicas);
  const workers = Math.max(0, Math.min(WORKERS, share));
  const inFlight = Math.max(1, workers * PREFETCH) * replicas;
  const copies = accelerator ? 2 : 1;
  return {
    workers,
    prefetch: PREFETCH,
    pinMemory: accelerator,
    hostBytes: sampleBytes === null ? null : inFlight * micro * sampleBytes * copies,
    source: 'assumed',
    why:
      usableCores === null
        ? "timm's default of 4; measure with batchfit loader"
        : `at most ${WORKERS}, and no more than the ${usableCores} cores allow for ${replicas} replica${replicas === 1 ? '' : 's'}; measure with batchfit loader`,
  };
}
