/**
 * Lays a folded graph's trace out for the whole graph. Where two neighbours in the middle did the same, relative to
 * themselves, so does every layer between them: a step sees of a layer its own tensors, its neighbours' and those of all.
 */
import type { Folding } from './folding.js';
import { HeadMap, Unfoldable } from './head-map.js';
import { type Kernel, sameKernel } from './kernels.js';
import type { Block } from './layer-marks.js';
import type { Head, Recording } from './recording.js';
import { lastOfMiddle, placeOfCode, type Run, TEMPLATE, wholeLayer } from './repeats.js';
import type { Category } from './tape.js';

/** What the whole graph holds before forward. */
export interface WholeHead {
  head: Head;
  bytes: readonly number[];
  categories: readonly Category[];
  makers: readonly number[];
  makeInputs: readonly number[];
}

/** The whole graph's recording; null where two layers that look alike did not do the same. */
export function unfold(folding: Folding, folded: Recording, whole: WholeHead): Recording | null {
  try {
    return new Unfolding(folding, folded, whole).run();
  } catch (error) {
    if (error instanceof Unfoldable) return null;
    throw error;
  }
}

/** The layer that is laid out: `kept` of the folded run stands for layer `whole` of the whole one. */
interface Here {
  run: number;
  kept: number;
  whole: number;
}

/** A block with its end, and where the storages of its phase begin in each whole layer of its run. */
interface Place extends Block {
  end: Block;
  phase: string;
  bases: number[];
}

class Unfolding {
  private readonly bytes: number[];
  private readonly categories: Category[];
  private readonly makers: number[];
  private readonly kernelLog: Kernel[] = [];
  private readonly kernels: Map<string, number>;
  private readonly heads: HeadMap;
  /** The place of each folded storage that forward or backward made. */
  private readonly placeOf: Place[] = [];

  constructor(
    private readonly folding: Folding,
    private readonly folded: Recording,
    private readonly whole: WholeHead,
  ) {
    this.bytes = [...whole.bytes];
    this.categories = [...whole.categories];
    this.makers = [...whole.makers];
    this.kernels = new Map(folded.kernels);
    this.heads = new HeadMap(folding, folded.head, whole.head);
  }

  run(): Recording {
    const { folded, heads, whole } = this;
    const forward = this.phase('forward', folded.forward, folded.forwardBlocks);
    const backward = this.phase('backward', folded.backward, folded.backwardBlocks);
    const list = (events: readonly number[]): number[] => {
      const out: number[] = [];
      this.outside(events, out);
      return out;
    };
    return {
      head: whole.head,
      bytes: this.bytes,
      categories: this.categories,
      makers: this.makers,
      makeInputs: [...whole.makeInputs],
      forward,
      backward,
      forwardBlocks: [],
      backwardBlocks: [],
      dropLoss: list(folded.dropLoss),
      dropInputs: list(folded.dropInputs),
      dropOutputs: list(folded.dropOutputs),
      dropGradients: list(folded.dropGradients),
      hasGradient: heads.parameterOf.map((i) => folded.hasGradient[i] as boolean),
      kernels: this.kernels,
      kernelLog: folded.kernelLog && this.kernelLog,
    };
  }

  private phase(phase: string, events: readonly number[], blocks: readonly Block[]): number[] {
    const basesOf = this.folding.runs.map((): number[] => []);
    const places = blocks.slice(0, -1).map((block, i): Place => {
      const bases = block.layer < 0 ? [] : (basesOf[placeOfCode(block.layer).run] as number[]);
      return { ...block, end: blocks[i + 1] as Block, phase, bases };
    });
    for (const place of places) for (let id = place.ids; id < place.end.ids; id++) this.placeOf[id] = place;
    const out: number[] = [];
    const seen = new Set<number>();
    places.forEach((place, i) => {
      const { layer } = place;
      if (layer >= 0 && seen.has(layer)) throw new Unfoldable();
      seen.add(layer);
      const own = events.slice(place.events, place.end.events);
      const { run, kept } = placeOfCode(layer);
      const isTemplate = layer >= 0 && kept === TEMPLATE;
      this.logKernels(place, isTemplate ? middleOf(this.runAt(run)).length : 1);
      if (layer < 0) this.lay(place, own, null, out);
      else if (!isTemplate) this.lay(place, own, { run, kept, whole: wholeLayer(this.runAt(run), kept) }, out);
      else {
        const [before, after] = [places[i - 1], places[i + 1]];
        const [next, previous] = before?.layer === layer + 1 ? [before, after] : [after, before];
        if (next?.layer !== layer + 1 || previous?.layer !== layer - 1) throw new Unfoldable();
        this.compare(place, next, events);
        const layers = middleOf(this.runAt(run));
        if (next === before) layers.reverse();
        for (const whole of layers) this.lay(place, own, { run, kept, whole }, out);
        for (const [name, count] of place.end.counts) {
          const times = (layers.length - 1) * (count - (place.counts.get(name) ?? 0));
          this.kernels.set(name, (this.kernels.get(name) as number) + times);
        }
      }
    });
    return out;
  }

  private logKernels(place: Place, times: number): void {
    const kernels = this.folded.kernelLog?.slice(place.kernels, place.end.kernels) ?? [];
    for (const kernel of kernels) this.kernelLog.push(times === 1 ? kernel : { ...kernel, times });
  }

  private runAt(index: number): Run {
    return this.folding.runs[index] as Run;
  }

  /** Lays out a block for one layer. */
  private lay(place: Place, events: readonly number[], here: Here | null, out: number[]): void {
    const { folded, bytes, categories, makers } = this;
    const base = bytes.length;
    place.bases[here?.whole ?? 0] = base;
    for (let id = place.ids; id < place.end.ids; id++) {
      bytes.push(folded.bytes[id] as number);
      categories.push(folded.categories[id] as Category);
      makers.push(this.maker(folded.makers[id] as number, here));
    }
    if (!here) {
      this.outside(events, out);
      return;
    }
    for (let i = 0; i < events.length; i++) {
      const event = events[i] as number;
      out.push(event >= 0 ? base + event - place.ids : -1 - this.storage(-1 - event, here));
    }
  }

  /** Events outside of layers. What they say of the middle, they say of one layer after another. */
  private outside(events: readonly number[], out: number[]): void {
    let at = 0;
    while (at < events.length) {
      const event = events[at] as number;
      const layer = event < 0 ? this.layerOf(-1 - event) : -1;
      if (event >= 0) out.push(this.storage(event, null));
      else if (layer < 0 || placeOfCode(layer).kept !== TEMPLATE) out.push(-1 - this.storage(-1 - event, null));
      else {
        const end = this.endOfLayer(events, at, layer);
        const next = this.endOfLayer(events, end, layer + 1);
        if (next - end !== end - at) throw new Unfoldable();
        for (let i = at; i < end; i++) this.mustCorrespond(events[i] as number, events[i + end - at] as number, layer);
        const { run } = placeOfCode(layer);
        for (const whole of middleOf(this.runAt(run))) {
          for (const death of events.slice(at, end)) out.push(-1 - this.storage(-1 - death, { run, kept: TEMPLATE, whole }));
        }
        at = end;
        continue;
      }
      at++;
    }
  }

  private endOfLayer(events: readonly number[], from: number, layer: number): number {
    let end = from;
    while (end < events.length && (events[end] as number) < 0 && this.layerOf(-1 - (events[end] as number)) === layer) end++;
    return end;
  }

  /** The layer that a folded storage belongs to, -1 for none. */
  private layerOf(id: number): number {
    return id < this.folded.head.end ? (this.heads.layer[id] as number) : (this.placeOf[id] as Place).layer;
  }

  /** The whole graph's storage that a folded one is, seen from `here`. */
  private storage(id: number, here: Here | null): number {
    const layer = this.layerOf(id);
    const whole = layer < 0 ? 0 : this.seenFrom(layer, here);
    if (id < this.folded.head.end) return this.heads.storage(id, whole);
    const place = this.placeOf[id] as Place;
    const base = place.bases[whole];
    if (base === undefined) throw new Unfoldable();
    return base + id - place.ids;
  }

  private seenFrom(layer: number, here: Here | null): number {
    const { run, kept } = placeOfCode(layer);
    if (here?.run === run) {
      const apart = kept - here.kept;
      if (Math.abs(apart) > 1) throw new Unfoldable();
      return here.whole + apart;
    }
    if (kept === TEMPLATE) throw new Unfoldable();
    return wholeLayer(this.runAt(run), kept);
  }

  private maker(node: number, here: Here | null): number {
    if (node < 0) return node;
    const { layerOf, origins } = this.folding;
    const layer = layerOf[node] as number;
    const origin = origins[node] as number;
    if (layer < 0) return origin;
    const { run: index, kept } = placeOfCode(layer);
    const run = this.runAt(index);
    return origin + (this.seenFrom(layer, here) - wholeLayer(run, kept)) * run.length;
  }

  /** Throws unless the template and the layer after it did the same. */
  private compare(a: Place, b: Place, events: readonly number[]): void {
    const { bytes, categories, makers, kernelLog } = this.folded;
    const own = events.slice(a.events, a.end.events);
    if (own.length !== b.end.events - b.events || a.end.ids - a.ids !== b.end.ids - b.ids) throw new Unfoldable();
    own.forEach((event, i) => {
      const other = events[b.events + i] as number;
      if (event >= 0) {
        if (other < 0 || event - a.ids !== other - b.ids) throw new Unfoldable();
      } else this.mustCorrespond(event, other, a.layer);
    });
    const [here, there] = [a, b].map(({ layer }) => ({ ...placeOfCode(layer), whole: placeOfCode(layer).kept }));
    const { length } = this.runAt(placeOfCode(a.layer).run);
    for (let id = a.ids, other = b.ids; id < a.end.ids; id++, other++) {
      if (bytes[id] !== bytes[other] || categories[id] !== categories[other]) throw new Unfoldable();
      const [x, y] = [this.maker(makers[id] as number, here ?? null), this.maker(makers[other] as number, there ?? null)];
      if (x !== y && x + length !== y) throw new Unfoldable();
    }
    if (!kernelLog) return;
    const [first, second] = [a, b].map((place) => kernelLog.slice(place.kernels, place.end.kernels)) as [Kernel[], Kernel[]];
    if (first.length !== second.length || !first.every((kernel, i) => sameKernel(kernel, second[i] as Kernel))) throw new Unfoldable();
  }

  /** Throws unless two deaths are of one storage, or of corresponding ones of two neighbours. */
  private mustCorrespond(a: number, b: number, layer: number): void {
    const [x, y] = [-1 - a, -1 - b];
    const [own, other] = [this.layerOf(x), b < 0 ? this.layerOf(y) : -1];
    const isInRun = own >= 0 && placeOfCode(own).run === placeOfCode(layer).run;
    if (b >= 0 || (isInRun ? own + 1 !== other || this.slot(x) !== this.slot(y) : x !== y)) throw new Unfoldable();
  }

  /** Which of a layer's storages one is. */
  private slot(id: number): string {
    if (id < this.folded.head.end) return this.heads.slots[id] as string;
    const { phase, ids } = this.placeOf[id] as Place;
    return `${phase} ${id - ids}`;
  }
}

function middleOf(run: Run): number[] {
  return Array.from({ length: lastOfMiddle(run) - TEMPLATE + 1 }, (_, i) => TEMPLATE + i);
}
