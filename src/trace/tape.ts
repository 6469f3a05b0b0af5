/** What a trace leaves behind: births and deaths of storages in order, and the kernels that ran. */

/** What a storage is for; the breakdown of an estimate sums these at the peak. */
export const CATEGORIES = ['parameters', 'gradients', 'optimizerState', 'activations', 'inputs', 'temporaries', 'workspaces'] as const;
export type Category = (typeof CATEGORIES)[number];

export class Tape {
  /** Births (id) and deaths (-1 - id). */
  readonly events: number[] = [];
  readonly bytes: number[] = [];
  readonly category: Category[] = [];
  /** The instruction that made each storage, -1 for weights and inputs. */
  readonly maker: number[] = [];
  /** The instruction that runs now. */
  instruction = -1;
  /** How often each kernel family ran ("flash attention"), for reasons and tests. */
  readonly kernels = new Map<string, number>();

  allocate(bytes: number, category: Category): number {
    const id = this.bytes.length;
    this.bytes.push(bytes);
    this.category.push(category);
    this.maker.push(this.instruction);
    this.events.push(id);
    return id;
  }
  free(id: number): void {
    if (this.bytes[id] === 0) return;
    this.events.push(-1 - id);
  }
  /** Takes back an allocation that turned out not to be made; only the latest events can be. */
  cancel(id: number): void {
    if (this.events.at(-1) !== id) return;
    this.events.pop();
    this.bytes[id] = 0;
  }
  countKernel(name: string): void {
    this.kernels.set(name, (this.kernels.get(name) ?? 0) + 1);
  }
}
