/**
 * The language of --require:
 *
 *   requirement = ["warn:"] fact [operator value]
 *   fact        = word {"." word}                       gpu.count, gpu.memory, fits, engine.torch ...
 *   operator    = ">=" | "<=" | ">" | "<" | "==" | "=" | "!="
 *   value       = a number, a size (24GiB, 16GB, 512MiB), a version (535.104) or a word
 *
 * A fact alone asks for it to be true, ready or there. Blanks between the parts are allowed.
 */
import { UsageError } from '../../errors.js';
import { formatBytes, MIB, parseBytes } from '../../units.js';
import type { Check, Facts, Known, Level } from './fact.js';

export type Operator = '>=' | '<=' | '>' | '<' | '==' | '!=';

export interface Requirement {
  text: string;
  level: Level;
  fact: string;
  /** Null for a fact alone. */
  operator: Operator | null;
  value: string;
  /** Where the value begins in the text, from 1. */
  valuePosition: number;
}

const GRAMMAR = 'a requirement is a fact, an operator and a value: "gpu.count>=1", "gpu.memory>=24GiB", "fits", "warn: throughput>=100"';

/** Facts that are sizes, also where this machine does not have them. */
const SIZE_FACTS = /^(gpu\.(memory|free)|host\.(memory|available)|memory\.(needed|usable))$/;
/** Facts that only a plan has. */
const PLAN_FACTS = /^(fits|throughput|memory\.(needed|usable)|batch\.(micro|accumulation|effective))$/;

/** Throws UsageError naming the position of what is wrong, counted from 1. */
export function parseRequirement(text: string): Requirement {
  const fail = (position: number, expected: string): never => {
    const found = text.slice(position, position + 12);
    throw new UsageError(
      'BAD_REQUIREMENT',
      `--require "${text}": position ${position + 1}: expected ${expected}, found ${found === '' ? 'the end' : `"${found}"`}`,
      GRAMMAR,
    );
  };
  let position = 0;
  const take = (pattern: RegExp): string | null => {
    const match = new RegExp(pattern.source, 'y');
    match.lastIndex = position;
    const found = match.exec(text)?.[0] ?? null;
    if (found !== null) position += found.length;
    return found;
  };
  take(/\s*/);
  const level: Level = take(/warn\s*:\s*/) === null ? 'error' : 'warn';
  const fact = take(/[A-Za-z][\w-]*(?:\.[A-Za-z][\w-]*)*/) ?? fail(position, 'the name of a fact');
  take(/\s*/);
  if (position === text.length) return { text, level, fact, operator: null, value: '', valuePosition: position + 1 };
  const operator = take(/>=|<=|==|!=|>|<|=/) ?? fail(position, 'one of >= <= > < == !=');
  take(/\s*/);
  const valuePosition = position + 1;
  const value = take(/[^\s<>=!]+(?: [^\s<>=!]+)*/) ?? fail(position, 'a value');
  take(/\s*/);
  if (position !== text.length) fail(position, 'the end');
  return { text, level, fact, operator: operator === '=' ? '==' : (operator as Operator), value, valuePosition };
}

/** Holds one requirement against the facts. Throws UsageError for a fact that there is not, or a value of another kind. */
export function judge(requirement: Requirement, facts: Facts): Check {
  const { fact: name, level, operator, value } = requirement;
  const fact = facts[name];
  if (fact === undefined) {
    throw new UsageError(
      'UNKNOWN_FACT',
      `--require "${requirement.text}": there is no fact "${name}"`,
      `${PLAN_FACTS.test(name) ? 'it is of a plan: name one, batchfit check plan.json; without it ' : ''}the facts are ${Object.keys(facts).sort().join(', ')}`,
    );
  }
  const expected = operator === null ? 'yes' : `${operator} ${describeExpected(name, value, requirement)}`;
  const base = { name, level, expected };
  if (!('value' in fact)) return { ...base, found: null, passed: false, outcome: fact.kind, note: fact.reason };
  const passed = operator === null ? isTrue(fact) : compare(fact, operator, value, requirement);
  return { ...base, found: fact.value, passed, outcome: passed ? 'passed' : 'failed', note: passed ? '' : `found ${describe(fact)}` };
}

/** A fact's value for people. */
export function describe(fact: Known): string {
  if (fact.kind === 'bytes') return formatBytes(fact.value);
  if (fact.kind === 'truth') return fact.value ? 'yes' : 'no';
  return `${fact.value}`;
}

function isTrue(fact: Known): boolean {
  if (fact.kind === 'truth') return fact.value;
  if (fact.kind === 'text' || fact.kind === 'version')
    return fact.value === 'ready' || (fact.value !== '' && fact.value !== 'missing' && fact.value !== 'broken');
  return fact.value > 0;
}

function describeExpected(fact: string, value: string, requirement: Requirement): string {
  return SIZE_FACTS.test(fact) ? formatBytes(bytesOf(value, requirement)) : value;
}

function compare(fact: Known, operator: Operator, value: string, requirement: Requirement): boolean {
  const order = orderOf(fact, value, requirement);
  if (operator === '==') return order === 0;
  if (operator === '!=') return order !== 0;
  if (fact.kind === 'text' || fact.kind === 'truth') throw misfit(requirement, `== or != for ${requirement.fact}`);
  return { '>=': order >= 0, '<=': order <= 0, '>': order > 0, '<': order < 0 }[operator];
}

/** Negative when the fact is below the value. */
function orderOf(fact: Known, value: string, requirement: Requirement): number {
  switch (fact.kind) {
    case 'bytes':
      return fact.value - bytesOf(value, requirement);
    case 'count':
    case 'number': {
      const number = Number(value);
      if (!Number.isFinite(number)) throw misfit(requirement, 'a number');
      return fact.value - number;
    }
    case 'version':
      if (!/^\d/.test(value)) throw misfit(requirement, 'a version');
      return fact.value.localeCompare(value, 'en', { numeric: true });
    case 'truth':
      if (!/^(true|false|yes|no)$/i.test(value)) throw misfit(requirement, 'true or false');
      return fact.value === /^(true|yes)$/i.test(value) ? 0 : 1;
    case 'text':
      return fact.value.toLowerCase() === value.toLowerCase() ? 0 : 1;
  }
}

function bytesOf(value: string, requirement: Requirement): number {
  try {
    const bytes = value === '0' ? 0 : parseBytes(value, '--require');
    // "24" would be 24 bytes, which every machine has and nobody means
    if (bytes === 0 || bytes >= MIB) return bytes;
  } catch {}
  throw misfit(requirement, 'a size such as 24GiB');
}

function misfit({ text, value, valuePosition }: Requirement, expected: string): UsageError {
  return new UsageError(
    'BAD_REQUIREMENT',
    `--require "${text}": position ${valuePosition}: expected ${expected}, found "${value}"`,
    GRAMMAR,
  );
}
