/** First weights from a seed, the same ones that the torch engine's `first_weights.py` makes from it. */
import type { ModelGraph } from '../../../model/graph.js';
import { createRandom } from '../../../random.js';
import type { GivenValues } from './state.js';

/** Normal numbers (Box and Muller 1958) of the spread that `makeState` gives to weights; norms and biases keep theirs. */
export function firstWeights({ parameters }: ModelGraph, seed: number): GivenValues {
  const given: GivenValues = {};
  parameters.forEach(({ name, shape }, index) => {
    if (shape.length <= 1) return;
    const inputs = shape.slice(1).reduce((product, size) => product * size, 1);
    const deviation = Math.min(1 / Math.sqrt(inputs), 0.1);
    const random = createRandom(seedOf(seed, index));
    const data = Float32Array.from({ length: (shape[0] as number) * inputs }, () => {
      const radius = Math.sqrt(-2 * Math.log(1 - random()));
      return deviation * radius * Math.cos(2 * Math.PI * random());
    });
    given[name] = { shape, data };
  });
  return given;
}

/** A stream of its own for each parameter. */
function seedOf(seed: number, index: number): number {
  return (Math.imul(seed, 1000003) + Math.imul(index, 0x9e3779b9)) >>> 0;
}
