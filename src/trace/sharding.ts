/**
 * What one of several devices holds of a model's states. DistributedDataParallel keeps gradients twice, as they are and
 * in buckets (gradient_as_bucket_view=False, its default). DeepSpeed's ZeRO divides the optimizer's state, then the
 * gradients, then the weights, and works through flat buffers whose sizes are its defaults (deepspeed/runtime/zero/
 * config.py). FSDP divides all three and gathers one layer at a time, while the next one is fetched.
 */
import type { ModelGraph } from '../model/graph.js';
import type { Setup } from '../setup.js';
import { MIB } from '../units.js';
import { ELEMENT_BYTES, type ElementType } from './dtype.js';
import type { Category } from './tape.js';

/** DistributedDataParallel's buckets: a small first one, then bucket_cap_mb each. */
const FIRST_BUCKET = MIB;
const BUCKET = 25 * MIB;
/** reduce_bucket_size, and stage3_max_live_parameters, in elements. */
const REDUCE_ELEMENTS = 5e8;
const LIVE_ELEMENTS = 1e9;

/** Into how many parts weights, gradients and optimizer states are divided. */
export interface Shares {
  parameters: number;
  gradients: number;
  states: number;
}

export function sharesOf({ gpus, tensorParallel, sharding }: Setup): Shares {
  const devices = Math.max(1, gpus / tensorParallel);
  const whole = sharding === 'zero3' || sharding === 'fsdp';
  return {
    parameters: whole ? devices : 1,
    gradients: whole || sharding === 'zero2' ? devices : 1,
    states: sharding === 'ddp' ? 1 : devices,
  };
}

/** Buffers that live as long as the training: bytes and purpose. */
export function communicationBuffers(graph: ModelGraph, setup: Setup, modelType: ElementType): { bytes: number; category: Category }[] {
  if (setup.gpus / setup.tensorParallel <= 1) return [];
  const weights = graph.parameters.map((p) => {
    const elements = p.shape.reduce((a, b) => a * b, 1);
    const type = p.dtype === undefined || p.dtype === 'model' ? modelType : p.dtype;
    return { name: p.name, elements, bytes: elements * ELEMENT_BYTES[type], trained: p.trainable !== false };
  });
  const sum = (of: typeof weights, key: 'elements' | 'bytes'): number => of.reduce((total, w) => total + w[key], 0);
  const trained = weights.filter((w) => w.trained);
  if (setup.sharding === 'ddp') return bucketsOf(sum(trained, 'bytes')).map((bytes) => ({ bytes, category: 'gradients' }));
  if (setup.sharding === 'fsdp') {
    const layers = graph.checkpoints.map((module) =>
      sum(
        weights.filter((w) => w.name.startsWith(`${module}.`)),
        'bytes',
      ),
    );
    const largest = Math.max(0, ...layers);
    const root = sum(weights, 'bytes') - layers.reduce((a, b) => a + b, 0);
    return [root, largest, largest].filter((bytes) => bytes > 0).map((bytes) => ({ bytes, category: 'parameters' }));
  }
  const size = ELEMENT_BYTES[modelType];
  const bucket = { bytes: Math.min(REDUCE_ELEMENTS, sum(trained, 'elements')) * size, category: 'gradients' as const };
  // Weights in low precision have a master copy in float32, divided like the state.
  const master =
    size < 4 ? [{ bytes: Math.ceil((4 * sum(trained, 'elements')) / sharesOf(setup).states), category: 'optimizerState' as const }] : [];
  const live =
    setup.sharding === 'zero3'
      ? [{ bytes: Math.min(LIVE_ELEMENTS, sum(weights, 'elements')) * size, category: 'parameters' as const }]
      : [];
  return [bucket, ...master, ...live];
}

function bucketsOf(bytes: number): number[] {
  const buckets: number[] = [];
  for (let left = bytes; left > 0; left -= buckets.at(-1) as number)
    buckets.push(Math.min(left, buckets.length === 0 ? FIRST_BUCKET : BUCKET));
  return buckets;
}
