/** Who trains a model: the framework that is asked for, else TensorFlow for what Keras or TensorFlow.js wrote. */
import type { ModelGraph } from '../../model/graph.js';
import type { Setup } from '../../setup.js';

const TENSORFLOW_FORMATS = ['keras', 'tfjs'];

/** The setup with the model's own framework where `asked`, the flag's value, leaves it open. */
export function withFramework(setup: Setup, asked: string | undefined, model: Pick<ModelGraph, 'source'>): Setup {
  return asked === undefined && TENSORFLOW_FORMATS.includes(model.source.format) ? { ...setup, framework: 'tensorflow' } : setup;
}
