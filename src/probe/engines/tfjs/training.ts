/** Training steps on the loaded backend: forward, backward, optimizer, with nothing left over between them. */
import type { Scalar, Tensor } from '@tensorflow/tfjs-core';
import type { ModelGraph } from '../../../model/graph.js';
import type { SymbolValues } from '../../../model/sizes.js';
import type { Setup } from '../../../setup.js';
import { runForward } from './forward.js';
import { makeOptimizer } from './optimizer.js';
import { prepareProgram } from './program.js';
import { type GivenValues, makeState, type TrainingState } from './state.js';
import type { TF } from './value.js';

export interface Trainer {
  readonly state: TrainingState;
  /** One optimizer step over `setup.accumulation` micro batches; returns the last one's loss. */
  step(onPhase?: (phase: string) => void): number;
  /** Loss and gradients of one micro batch, by parameter name. The caller disposes them. */
  gradients(onPhase?: (phase: string) => void): { value: Scalar; grads: Record<string, Tensor> };
}

/** Throws UnsupportedError before anything runs when an operator or the optimizer is not there. */
export function prepareTrainer(tf: TF, graph: ModelGraph, setup: Setup, sizes: SymbolValues, given?: GivenValues): Trainer {
  const program = prepareProgram(graph);
  const optimizer = makeOptimizer(tf, setup.optimizer);
  const symbols = symbolsOf(graph, setup, sizes);
  const state = makeState(tf, graph, symbols, given);
  let held: Tensor[] = [];

  function gradients(onPhase: (phase: string) => void = () => {}) {
    onPhase('forward');
    return tf.variableGrads(() => {
      const { loss, outputs } = runForward(tf, program, state.values, state.buffers, symbols);
      if (setup.keepOutputs) hold(outputs);
      onPhase('backward');
      return loss as Scalar;
    }, state.trainable);
  }

  /** As a loop that keeps the model's outputs until the next forward returns. */
  function hold(outputs: Tensor[]): void {
    tf.dispose(held);
    held = outputs.map((output) => tf.keep(tf.clone(output)));
  }

  function step(onPhase: (phase: string) => void = () => {}): number {
    let loss = Number.NaN;
    let sum: Record<string, Tensor> = {};
    for (let micro = 0; micro < setup.accumulation; micro++) {
      const { value, grads } = gradients(onPhase);
      loss = value.dataSync()[0] as number;
      value.dispose();
      sum = micro === 0 ? grads : addAll(tf, sum, grads);
    }
    onPhase('optimizer');
    if (setup.accumulation > 1) sum = mapAll(tf, sum, (gradient) => tf.mul(gradient, 1 / setup.accumulation));
    if (setup.clipGradNorm !== null) sum = clipNorm(tf, sum, setup.clipGradNorm);
    optimizer.step(state.trainable, sum);
    tf.dispose(sum);
    return loss;
  }

  return { state, step, gradients };
}

function symbolsOf(graph: ModelGraph, setup: Setup, sizes: SymbolValues): SymbolValues {
  const defaults = Object.fromEntries(Object.entries(graph.symbols).map(([name, range]) => [name, range.default]));
  return { ...defaults, ...sizes, B: setup.batch };
}

type Gradients = Record<string, Tensor>;

function mapAll(tf: TF, gradients: Gradients, apply: (gradient: Tensor, name: string) => Tensor): Gradients {
  const mapped: Gradients = {};
  for (const [name, gradient] of Object.entries(gradients)) {
    mapped[name] = tf.tidy(() => apply(gradient, name));
    gradient.dispose();
  }
  return mapped;
}

function addAll(tf: TF, sum: Gradients, more: Gradients): Gradients {
  const added = mapAll(tf, sum, (gradient, name) => (more[name] ? tf.add(gradient, more[name]) : tf.clone(gradient)));
  tf.dispose(more);
  return added;
}

/** torch.nn.utils.clip_grad_norm_: scales all gradients when their common norm is above the maximum. */
function clipNorm(tf: TF, gradients: Gradients, maximum: number): Gradients {
  const scale = tf.tidy(() => {
    const squares = Object.values(gradients).map((gradient) => tf.sum(tf.square(gradient)));
    return tf.minimum(tf.div(maximum, tf.add(tf.sqrt(tf.addN(squares)), 1e-6)), 1);
  });
  const clipped = mapAll(tf, gradients, (gradient) => tf.mul(gradient, scale));
  scale.dispose();
  return clipped;
}
