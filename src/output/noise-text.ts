/** The noise scale for people, and the lines that log what it is made from. */
import type { z } from 'zod';
import { formatNumber } from '../plan/advice.js';
import { LOG_LIMITS } from '../plan/noise-limits.js';
import type { document } from './documents/noise.js';
import { table } from './tables.js';

type Measurement = NonNullable<z.infer<typeof document>['measurement']>;

export function renderNoise(answer: unknown): string {
  const { noiseScale, samples, criticalBatch, tradeoff, gradientSqNorm, trace, measurement } = answer as z.infer<typeof document>;
  if (noiseScale === null || criticalBatch === null) {
    return `not enough samples: ${samples} steps do not tell the gradient (|G|^2 ${formatNumber(gradientSqNorm ?? 0)}) from its noise (trace ${formatNumber(trace ?? 0)})`;
  }
  const rows = tradeoff.map(({ batch, relativeSteps, relativeSamples }) => [
    `${batch}`,
    formatNumber(relativeSteps),
    formatNumber(relativeSamples),
  ]);
  return [
    `noise scale     ${formatNumber(noiseScale.value)} samples (${formatNumber(noiseScale.low)} to ${formatNumber(noiseScale.high)} at 95 %, ${samples} steps)`,
    `critical batch  about ${formatNumber(criticalBatch.best)}, known to an order of magnitude: ${formatNumber(criticalBatch.low)} to ${formatNumber(criticalBatch.high)}`,
    '',
    table(['batch', 'steps / fewest', 'samples / fewest'], rows),
    '',
    ...(measurement === null ? [] : [describeMeasurement(measurement)]),
    `batchfit plan MODEL --noise-scale ${Math.round(noiseScale.value)} takes it into a plan`,
    'well below it, double the batch makes half the steps; well above it, more samples are wasted',
    ...(measurement === null
      ? LOG_LIMITS
      : ['it grows during training and falls with the learning rate: measure a tuned run, after its first phase']),
  ].join('\n');
}

function describeMeasurement({ engine, data, device, trainSteps, loss }: Measurement): string {
  const where = device === null ? engine : `${engine} (${device.backend}, ${device.kind})`;
  const at = loss === null ? '' : `, at loss ${formatNumber(loss)}`;
  return `measured with ${where} on ${data} after ${trainSteps} training steps${at}`;
}

export const SNIPPETS = {
  torch: `# after loss.backward() of every micro batch, before the gradients are added up or averaged
def sq_norm(grads): return sum(float((g.float() ** 2).sum()) for g in grads)
micro = []                                             # one list an update
def after_micro_batch(model, scale):                   # scale: what the loss was divided by (accumulation steps)
    now = [p.grad.detach().clone() for p in model.parameters() if p.grad is not None]
    last = micro[-1][1] if micro else [0 * g for g in now]
    micro.append((sq_norm([(g - l) * scale for g, l in zip(now, last)]), now))
def before_step(log):                                  # log: a file opened with the header small_sq_norm,big_sq_norm
    log.write(f"{sum(s for s, _ in micro) / len(micro)},{sq_norm(micro[-1][1])}\\n"); micro.clear()
# then: batchfit noise --from log.csv --small-batch MICRO --big-batch MICRO*ACCUMULATION
`,
  keras: `# Keras on TensorFlow only, one row every few steps: the gradient of small parts of a batch and of the whole of it
import tensorflow as tf
def sq_norm(grads): return float(sum(tf.reduce_sum(tf.square(tf.cast(g, tf.float32))) for g in grads if g is not None))
def gradient(model, loss, x, y):
    with tf.GradientTape() as tape: value = tf.reduce_mean(loss(y, model(x, training=True)))
    return tape.gradient(value, model.trainable_variables)
def log_norms(model, loss, x, y, small, log):          # log: a file opened with the header small_sq_norm,big_sq_norm
    parts = [sq_norm(gradient(model, loss, x[i:i + small], y[i:i + small])) for i in range(0, len(x) - small + 1, small)]
    log.write(f"{sum(parts) / len(parts)},{sq_norm(gradient(model, loss, x, y))}\\n")
# then: batchfit noise --from log.csv --small-batch SMALL --big-batch LEN(X)
`,
  jax: `# one row every few steps: per-micro-batch gradients by vmap, and their mean; loss(params, x, y) is yours, a mean over samples
import jax, jax.numpy as jnp
def sq_norm(tree): return sum(jnp.sum(jnp.square(g.astype(jnp.float32))) for g in jax.tree.leaves(tree))
@jax.jit
def norms(params, xs, ys):                             # xs, ys: [micro batches, micro batch, ...]
    grads = jax.vmap(jax.grad(loss), in_axes=(None, 0, 0))(params, xs, ys)
    return jax.vmap(sq_norm)(grads).mean(), sq_norm(jax.tree.map(lambda g: g.mean(0), grads))
def log_norms(params, xs, ys, log):                    # log: a file opened with the header small_sq_norm,big_sq_norm
    log.write("{},{}\\n".format(*map(float, norms(params, xs, ys))))
# then: batchfit noise --from log.csv --small-batch MICRO --big-batch MICRO*MICRO_BATCHES
`,
};
