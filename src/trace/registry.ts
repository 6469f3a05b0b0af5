/** The table of operator rules, and what autocast does before one runs. */
import { UsageError } from '../errors.js';
import { lowPrecisionOperators, singlePrecisionOperators, widestTypeOperators } from './autocast.js';
import { type ElementType, isFloating, promote } from './dtype.js';
import { castTo } from './ops/core.js';
import type { Session } from './session.js';
import { Tensor } from './tensor.js';

/** An operator's argument at run time: sizes are numbers, references are tensors. */
export type Value = null | boolean | number | string | Tensor | Value[];
export type Named = Record<string, Value>;
export type Result = Tensor | (Tensor | null)[];
export type Rule = (s: Session, args: Value[], named: Named) => Result;

const rules = new Map<string, Rule>();

/** Adds a family's rules, by ATen name without the "aten." ("add.Tensor", or "add" for every overload). */
export function define(family: Record<string, Rule>): void {
  for (const [name, rule] of Object.entries(family)) rules.set(name, rule);
}

export function ruleOf(op: string): Rule | undefined {
  const name = op.startsWith('aten.') ? op.slice(5) : op;
  const found = rules.get(name);
  if (found) return found;
  const dot = name.indexOf('.');
  return dot < 0 ? undefined : rules.get(name.slice(0, dot));
}

/** Names of all operators with a rule. */
export function knownOperators(): string[] {
  return [...rules.keys()].sort();
}

/** Calls an operator as a program does: autocast first, then the rule, then its temporaries go. */
export function call(s: Session, op: string, args: Value[], named: Named = {}, rule = ruleOf(op)): Result {
  if (!rule)
    throw new UsageError('UNKNOWN_OPERATOR', `operator ${op} has no memory rule`, 'run batchfit probe to measure this model instead');
  if (named.autocast === false) {
    const { autocast: _, ...rest } = named;
    return s.withoutAutocast(() => call(s, op, args, rest, rule));
  }
  return s.scope(() => {
    const type = s.autocastType;
    if (!type && !s.log) return rule(s, args, named);
    const name = op.startsWith('aten.') ? op.slice(5) : op;
    const dot = name.indexOf('.');
    const base = dot < 0 ? name : name.slice(0, dot);
    const run = (given: Value[]): Result => (s.log ? s.log.operator(base, given, () => rule(s, given, named)) : rule(s, given, named));
    if (!type) return run(args);
    if (lowPrecisionOperators.has(base)) {
      const cast = castArguments(s, args, type);
      return s.withoutAutocast(() => run(cast));
    }
    if (singlePrecisionOperators.has(base)) {
      const cast = castArguments(s, args, 'float32');
      return s.withoutAutocast(() => run(cast));
    }
    if (widestTypeOperators.has(base)) {
      const widest = widestType(args, type);
      const cast = castArguments(s, args, widest);
      return s.withoutAutocast(() => run(cast));
    }
    return run(args);
  });
}

/** `call` for an operator with one result. */
export function callOne(s: Session, op: string, args: Value[], named: Named = {}): Tensor {
  const result = call(s, op, args, named);
  return (Array.isArray(result) ? result[0] : result) as Tensor;
}

function widestType(args: Value[], low: ElementType): ElementType {
  let widest = low;
  for (const a of args.flat(2) as Value[]) if (a instanceof Tensor && isFloating(a.type)) widest = promote(widest, a.type);
  return widest;
}

/** The last argument first, as compilers evaluate them: backward then meets the casts in the opposite order. */
function castArguments(s: Session, args: Value[], type: ElementType): Value[] {
  const cast: Value[] = new Array(args.length).fill(null);
  for (let i = args.length - 1; i >= 0; i--) cast[i] = castAll(s, args[i] ?? null, type);
  return cast;
}

/** Autocast's cached_cast: low-precision copies of float32 weights are kept until the outermost context ends. */
function castAll(s: Session, value: Value, type: ElementType): Value {
  if (Array.isArray(value)) return value.map((v) => castAll(s, v, type));
  if (!(value instanceof Tensor) || !isFloating(value.type) || value.type === 'float64' || value.type === type) return value;
  const cacheable = type === s.options.autocast && value.type === 'float32' && value.requiresGrad && value.parameter >= 0 && !value.isView;
  if (!cacheable) return castTo(s, value, type);
  const cached = s.castCache.get(value);
  if (cached) return cached;
  const copy = castTo(s, value, type);
  s.castCache.set(value, s.retain(copy));
  return copy;
}

/** The end of the autocast context: its copies of weights lose that owner. */
export function clearCastCache(s: Session): void {
  for (const copy of s.castCache.values()) s.release(copy);
  s.castCache.clear();
}
