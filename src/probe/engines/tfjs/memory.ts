/** Follows the bytes that TensorFlow.js counts for its tensors. */
import type { TF } from './value.js';

interface CountingEngine {
  state: { numBytes: number };
  trackTensor(...details: unknown[]): void;
}

/** Watches every tensor that is made; the returned function tells the highest sum so far. */
export function watchTensorBytes(tf: TF): () => number {
  const engine = tf.engine() as unknown as CountingEngine;
  const track = engine.trackTensor.bind(engine);
  let peakBytes = engine.state.numBytes;
  engine.trackTensor = (...details) => {
    track(...details);
    peakBytes = Math.max(peakBytes, engine.state.numBytes);
  };
  return () => peakBytes;
}
