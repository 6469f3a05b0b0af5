/** Time that devices need to exchange gradients and weights, by ring collectives. */
import type { Setup } from '../setup.js';
import type { Bytes, Seconds } from '../units.js';
import type { Rates } from './rates.js';

/** Devices of one machine. */
const DEVICES_PER_MACHINE = 8;
/** Between machines: a ring goes through all ports at once, one of 200 Gbit/s a device. An assumption. */
const NETWORK_BYTES_PER_SECOND = DEVICES_PER_MACHINE * 25e9;
/** Share of a link that collectives of large messages reach (NCCL tests: 75 to 85 %). */
const LINK_EFFICIENCY = 0.8;

export interface Exchanged {
  trainedBytes: Bytes;
  parameterBytes: Bytes;
}

/**
 * Seconds of communication in one optimizer step. An all-reduce passes every byte twice, a gather or a scatter once,
 * each times (n - 1) / n. Sharded weights (zero3, fsdp) are gathered for forward and again for backward of every micro
 * batch; everything else is exchanged once a step.
 */
export function communicationSeconds(setup: Setup, bytes: Exchanged, rates: Rates): Seconds {
  const devices = setup.gpus / setup.tensorParallel;
  if (devices <= 1) return 0;
  const link = devices > DEVICES_PER_MACHINE ? Math.min(NETWORK_BYTES_PER_SECOND, rates.linkBytesPerSecond) : rates.linkBytesPerSecond;
  const gathers = setup.sharding === 'zero3' || setup.sharding === 'fsdp';
  const half =
    setup.precision === 'fp32' || setup.precision === 'tf32' || setup.precision === 'bf16' || setup.precision === 'fp16' ? 1 : 0.5;
  const volume = gathers
    ? setup.accumulation * 2 * bytes.parameterBytes * half + setup.accumulation * bytes.trainedBytes * half
    : 2 * bytes.trainedBytes;
  return (volume * (devices - 1)) / devices / (link * LINK_EFFICIENCY);
}
