/** Time of one optimizer step: kernels, their launches, the optimizer and communication. */
import type { Setup } from '../setup.js';
import type { Seconds } from '../units.js';
import type { Factors } from './calibrate.js';
import type { Coefficients } from './coefficients.js';
import { communicationSeconds } from './communication.js';
import { kernelTime } from './kernel-time.js';
import { optimizerWork } from './optimizers.js';
import type { Rates } from './rates.js';
import type { CountedWork, StepWork } from './step-work.js';

/** What most of a step's time goes to. */
export type Limit = 'compute' | 'bandwidth' | 'launch' | 'communication';

export interface StepTime {
  seconds: Seconds;
  limitedBy: Limit;
}

/** Launching runs ahead of the device: the slower of both decides, sharply. */
const AHEAD = 4;

const together = (a: number, b: number): number => (a ** AHEAD + b ** AHEAD) ** (1 / AHEAD);

/** What a step's time is made of, all micro batches included. */
export interface StepParts {
  /** The device works: kernels and the update. */
  device: Seconds;
  /** The program launches kernels. */
  launching: Seconds;
  communication: Seconds;
  /** Kernels by what they take longer for, and the bytes of the update. */
  compute: Seconds;
  memory: Seconds;
}

/** Seconds from one update of the weights to the next, all micro batches included. */
export function stepTime(work: StepWork, setup: Setup, batch: number, rates: Rates, c: Coefficients): StepTime {
  return combine(stepParts(work, setup, batch, rates, c), rates, c);
}

export function stepParts(work: StepWork, setup: Setup, batch: number, rates: Rates, c: Coefficients): StepParts {
  const micro = sumTimes(work.at(batch), rates, c);
  const trained = work.trained;
  const update = optimizerWork(setup, trained);
  const share = setup.sharding === 'ddp' ? 1 : setup.gpus / setup.tensorParallel;
  const updateBytes = (update.bytes / rates.bytesPerSecond / share) * c.streamingMemory;
  const updateDevice = updateBytes + (rates.launches ? update.launches * c.kernelSeconds : 0);
  const accumulation = setup.accumulation;
  return {
    device: accumulation * micro.device + updateDevice,
    launching: (accumulation * micro.launches + update.launches) * c.launchSeconds,
    communication: communicationSeconds(setup, { trainedBytes: trained.bytes, parameterBytes: work.parameterBytes }, rates),
    compute: accumulation * micro.compute,
    memory: accumulation * micro.memory + updateBytes,
  };
}

/** Puts the parts together, each stretched by what a calibration found. */
export function combine(parts: StepParts, rates: Rates, c: Coefficients, factors: Factors = { device: 1, launching: 1 }): StepTime {
  const device = parts.device * factors.device;
  const launching = parts.launching * factors.launching;
  const busy = rates.launches ? together(device, launching) : device + launching;
  const waiting = Math.max(parts.communication - busy, 0) + c.exposedCommunication * Math.min(parts.communication, busy);
  const working = (parts.compute + parts.memory) * factors.device;
  const limits: [Limit, number][] = [
    ['compute', parts.compute * factors.device],
    ['bandwidth', parts.memory * factors.device],
    // On a CPU the program's time comes on top; beside a device only what is longer than its work, and kernels that are short.
    ['launch', (rates.launches ? Math.max(launching - device, 0) : launching) + (device - working)],
    ['communication', waiting],
  ];
  const [limitedBy] = limits.reduce((most, part) => (part[1] > most[1] ? part : most));
  return { seconds: busy + waiting, limitedBy };
}

/** Device time of a micro step; each kernel's counts as compute or memory by which of both takes longer. */
function sumTimes(works: readonly CountedWork[], rates: Rates, c: Coefficients) {
  const sum = { device: 0, compute: 0, memory: 0, launches: 0 };
  for (const work of works) {
    const time = kernelTime(work, rates.matrix(work), rates, c);
    const floor = rates.launches ? c.kernelSeconds : 0;
    sum.device += work.count * time.total;
    sum[time.compute > time.memory ? 'compute' : 'memory'] += work.count * (time.total - floor);
    sum.launches += work.count;
  }
  return sum;
}
