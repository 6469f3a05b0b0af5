/** What a requirement is held against: something known, not here, or not to be read. */

export type Known =
  | { kind: 'count' | 'number'; value: number }
  | { kind: 'bytes'; value: number }
  | { kind: 'text'; value: string }
  /** "535.104.05": compared part by part. */
  | { kind: 'version'; value: string }
  | { kind: 'truth'; value: boolean };

/** `missing`: the thing itself is not here (exit 3). `unknown`: it could not be read (exit 4). */
export type Fact = Known | { kind: 'missing' | 'unknown'; reason: string };

/** By name: "gpu.count", "gpu.memory", "fits" ... */
export type Facts = Record<string, Fact>;

export type Outcome = 'passed' | 'failed' | 'missing' | 'unknown';
export type Level = 'error' | 'warn';

export interface Check {
  name: string;
  level: Level;
  /** In words, for people: ">= 24.00 GiB". */
  expected: string;
  /** What is here, null when it is not or cannot be read. */
  found: string | number | boolean | null;
  passed: boolean;
  outcome: Outcome;
  /** Why it did not pass, or what to know although it did; empty when there is nothing to say. */
  note: string;
}

/** 0 all passed; 1 the answer is no; 3 something is not here; 4 something could not be read. Warnings change nothing. */
export function exitCodeOf(checks: Check[]): 0 | 1 | 3 | 4 {
  const outcomes = new Set(checks.filter(({ level }) => level === 'error').map(({ outcome }) => outcome));
  return outcomes.has('failed') ? 1 : outcomes.has('missing') ? 3 : outcomes.has('unknown') ? 4 : 0;
}
