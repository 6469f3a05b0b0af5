/** What stands in for a rule that is not there, where the caller asked for a bound. */
import { UsageError } from '../../errors.js';
import { isFloating } from '../dtype.js';
import type { Rule } from '../registry.js';
import { contiguousStrides, Tensor } from '../tensor.js';

/**
 * An operator of unknown shape: each of its results is taken to be as large as its largest input, in that one's shape;
 * all inputs and results are kept for backward, which makes a gradient for every input.
 */
export function boundingRule(op: string, outputs: number): Rule {
  return (s, args, named) => {
    const inputs = [...args, ...Object.values(named)].flat(2).filter((value): value is Tensor => value instanceof Tensor);
    const largest = inputs.reduce<Tensor | null>((found, t) => (found && found.elements >= t.elements ? found : t), null);
    if (!largest) throw new UsageError('NOT_COVERED', `${op} has no memory rule, and no tensor goes into it that could bound it`);
    const type = inputs.find((t) => isFloating(t.type))?.type ?? largest.type;
    const results = Array.from({ length: Math.max(outputs, 1) }, () => s.empty(largest.shape, type, contiguousStrides(largest.shape)));
    s.record(op, inputs, results, [...inputs, ...results], (_, needs) =>
      inputs.map((t, i) => (needs[i] ? s.empty(t.shape, t.type) : null)),
    );
    return results.length === 1 ? (results[0] as Tensor) : results;
  };
}
