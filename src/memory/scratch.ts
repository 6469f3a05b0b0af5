/** What one optimizer step makes beside its state, as births and deaths in order. */
import type { Events } from './step.js';

/**
 * Records an optimizer's step as its Python code runs: what a local variable (or a list under one) holds lives until
 * the variable is assigned again, after the new value is there, or until the step returns.
 */
export class Scratch {
  readonly sizes: number[] = [];
  readonly events: Events = [];
  private readonly locals = new Map<string, number[]>();

  /** `name = <new tensors of these sizes, in bytes>`. */
  assign(name: string, ...bytes: readonly number[]): void {
    const born = bytes.filter((size) => size > 0).map((size) => this.sizes.push(size) - 1);
    for (const id of born) this.events.push(id);
    this.delete(name);
    this.locals.set(name, born);
  }

  /** `del name`; a list lets go of its last item first (CPython's list_dealloc). */
  delete(name: string): void {
    for (const id of (this.locals.get(name) ?? []).reverse()) this.events.push(-1 - id);
    this.locals.delete(name);
  }

  /** Tensors of one expression that are gone when it is evaluated. */
  pass(...bytes: readonly number[]): void {
    this.assign('', ...bytes);
    this.delete('');
  }

  /** The step returns. */
  end(): void {
    for (const name of [...this.locals.keys()]) this.delete(name);
  }
}
