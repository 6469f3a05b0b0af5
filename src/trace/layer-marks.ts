/** Notes where a trace goes from one repeated layer to another, so that it can be laid out for more of them. */
import type { Session } from './session.js';

/** A stretch of a phase within one layer. */
export interface Block {
  /** As Folding.layerOf says; -1 outside of layers. */
  layer: number;
  /** What had happened before it: events of the phase, storages, kernels, and each kernel family's count. */
  events: number;
  ids: number;
  kernels: number;
  counts: ReadonlyMap<string, number>;
}

export class LayerMarks {
  private blocks: Block[] = [];

  constructor(
    private readonly session: Session,
    private readonly layerOf: Int32Array,
  ) {
    this.add(-1);
  }

  /** What comes belongs to an instruction, or (-1) to none. */
  enter(instruction: number): void {
    const layer = instruction < 0 ? -1 : (this.layerOf[instruction] as number);
    if (this.blocks.at(-1)?.layer !== layer) this.add(layer);
  }

  /** The blocks of a phase, and an end to them; the events that follow count from 0. */
  cut(): Block[] {
    this.add(-1);
    const cut = this.blocks.splice(0);
    this.add(-1, 0);
    return cut;
  }

  private add(layer: number, events = this.session.tape.events.length): void {
    const { tape, log } = this.session;
    const counts = new Map(tape.kernels);
    this.blocks.push({ layer, events, ids: tape.bytes.length, kernels: log?.kernels.length ?? 0, counts });
  }
}
