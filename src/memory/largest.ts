/** The largest batch whose memory fits: found where straight lines say, then bracketed and halved. */
import type { Bytes } from '../units.js';

/** Beyond this nothing is searched: data sets are smaller. */
export const LARGEST_BATCH = 2 ** 24;

export interface LargestQuestion {
  /** Whether a batch fits, exactly. */
  fits(batch: number): boolean;
  /** Lines that tell about where it stops fitting, the most hopeful first: bytes at two batches, and the bytes there are. */
  lines: { bytes(batch: number): Bytes; room: Bytes }[];
  /** Batches that the lines go through. */
  through: [number, number];
  /** How far below the true answer the found one may lie, as a share of it. */
  tolerance: number;
  /** What is known before. */
  known?: Bounds;
}

/** A batch that fits (0 where none is known to) and a larger one that does not. */
export interface Bounds {
  fitting: number;
  failing: number;
}

export const UNBOUNDED: Bounds = { fitting: 0, failing: LARGEST_BATCH + 1 };

/** `fitting` is 0 where not even one sample fits. Within the tolerance, it fits and more does not. */
export function largestBatch({ fits, lines, through, tolerance, known = UNBOUNDED }: LargestQuestion): Bounds {
  let { fitting, failing } = known;
  const isOpen = (): boolean => failing - fitting > Math.max(1, Math.floor(tolerance * fitting));
  const look = (batch: number): void => {
    if (batch <= fitting || batch >= failing) return;
    if (fits(batch)) fitting = batch;
    else failing = batch;
  };
  for (const { bytes, room } of isOpen() ? lines : []) {
    const crossing = crossingOf(bytes, room, through);
    if (crossing === null) continue;
    look(crossing);
    // Most often the line is right, and the next batch fails.
    if (fitting === crossing) look(crossing + 1);
  }
  let step = Math.max(1, Math.ceil(tolerance * Math.max(fitting, 1)));
  while (failing > LARGEST_BATCH && isOpen()) {
    look(Math.min(fitting + step, LARGEST_BATCH));
    step *= 2;
  }
  step = Math.max(1, Math.ceil(failing / 64));
  while (fitting === 0 && isOpen()) {
    look(Math.max(failing - step, 1));
    step *= 2;
  }
  while (isOpen()) look((fitting + failing) >> 1);
  return { fitting, failing };
}

/** The last batch at which a line lies within the room; null where it does not rise. */
function crossingOf(bytes: (batch: number) => Bytes, room: Bytes, [one, two]: [number, number]): number | null {
  const perSample = (bytes(two) - bytes(one)) / (two - one);
  if (perSample <= 0) return null;
  return Math.min(Math.max(Math.floor(two + (room - bytes(two)) / perSample), 1), LARGEST_BATCH);
}
