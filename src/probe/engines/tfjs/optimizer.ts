/**
 * TensorFlow.js' own optimizers under the names of the setup, with PyTorch's defaults for what they can be told. Their
 * memory is what its users get: Adam, for one, lets go of what it makes for any weight when it is done with all of them.
 */
import type { Tensor, Optimizer as TfOptimizer, Variable } from '@tensorflow/tfjs-core';
import type { Optimizer } from '../../../setup.js';
import { UnsupportedError } from './call.js';
import type { TF } from './value.js';

/** A rate at which the loss of made-up data stays finite: the steps are timed and weighed, nothing is learned. */
export const LEARNING_RATE = 1e-4;
/** torch.optim.AdamW's default. */
const WEIGHT_DECAY = 0.01;

export interface Stepper {
  step(variables: readonly Variable[], gradients: Record<string, Tensor>): void;
}

/** Throws UnsupportedError for an optimizer that TensorFlow.js does not have. */
export function makeOptimizer(tf: TF, name: Optimizer, learningRate = LEARNING_RATE): Stepper {
  const optimizer = tfOptimizer(tf, name, learningRate);
  return {
    step(variables, gradients) {
      if (name === 'adamw') decay(tf, variables, gradients, 1 - learningRate * WEIGHT_DECAY);
      optimizer.applyGradients(gradients);
    },
  };
}

function tfOptimizer(tf: TF, name: Optimizer, learningRate: number): TfOptimizer {
  switch (name) {
    case 'sgd':
      return tf.train.sgd(learningRate);
    case 'momentum':
      return tf.train.momentum(learningRate, 0.9);
    case 'nesterov':
      return tf.train.momentum(learningRate, 0.9, true);
    case 'adam':
    case 'adamw':
      return tf.train.adam(learningRate, 0.9, 0.999, 1e-8);
    case 'rmsprop':
      return tf.train.rmsprop(learningRate, 0.99, 0, 1e-8);
    case 'adagrad':
      return tf.train.adagrad(learningRate, 0.1);
    default:
      throw new UnsupportedError(
        `TensorFlow.js has no optimizer ${name}; it has sgd, momentum, nesterov, adam, adamw, rmsprop and adagrad`,
      );
  }
}

/** Decoupled weight decay: the weights shrink by themselves, the gradient does not see it (Loshchilov and Hutter, 2019). */
function decay(tf: TF, variables: readonly Variable[], gradients: Record<string, Tensor>, factor: number): void {
  for (const variable of variables) {
    if (gradients[variable.name]) tf.tidy(() => variable.assign(tf.mul(variable, factor)));
  }
}
