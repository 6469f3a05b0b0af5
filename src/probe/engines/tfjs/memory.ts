/** Follows the bytes of the tensors that live. `tf.memory()` counts a tensor again for every view and clone of its data. */
import type { TF } from './value.js';

type DataId = object;

interface CountingEngine {
  state: { tensorInfo: WeakMap<DataId, unknown> };
  trackTensor(tensor: { dataId: DataId; size: number; dtype: string }, ...rest: unknown[]): void;
  removeDataId(dataId: DataId, ...rest: unknown[]): void;
}

const BYTES: Record<string, number> = { float32: 4, int32: 4, complex64: 8, bool: 1 };

/** Watches every tensor's data come and go; the returned function tells the highest sum so far. */
export function watchTensorBytes(tf: TF): () => number {
  const engine = tf.engine() as unknown as CountingEngine;
  const track = engine.trackTensor.bind(engine);
  const remove = engine.removeDataId.bind(engine);
  const sizes = new WeakMap<DataId, number>();
  let [liveBytes, peakBytes] = [0, 0];
  engine.trackTensor = (tensor, ...rest) => {
    if (!engine.state.tensorInfo.has(tensor.dataId)) {
      const bytes = tensor.size * (BYTES[tensor.dtype] ?? 0);
      sizes.set(tensor.dataId, bytes);
      liveBytes += bytes;
      peakBytes = Math.max(peakBytes, liveBytes);
    }
    track(tensor, ...rest);
  };
  engine.removeDataId = (dataId, ...rest) => {
    liveBytes -= sizes.get(dataId) ?? 0;
    sizes.delete(dataId);
    remove(dataId, ...rest);
  };
  return () => peakBytes;
}
