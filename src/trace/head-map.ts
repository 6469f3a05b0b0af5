/** Which weights, gradients and inputs of a whole graph those of the folded one stand for. */
import type { Folding } from './folding.js';
import type { Head } from './recording.js';
import { keptLayer, layerCode, type Run, TEMPLATE } from './repeats.js';

/** The folded trace does not repeat where its graph does. */
export class Unfoldable extends Error {}

export class HeadMap {
  /** For each whole parameter the folded one that stands for it. */
  readonly parameterOf: number[];
  /** Of each folded storage: its layer (-1 for none), and which of the layer's it is. */
  readonly layer: number[] = [];
  readonly slots: string[] = [];
  /** Of each folded storage: the whole ones of its kind, by layer; the only one first where it belongs to none. */
  private readonly storages: number[][] = [];

  constructor(folding: Folding, folded: Head, whole: Head) {
    this.layer = new Array<number>(folded.end).fill(-1);
    const { graph } = folding;
    const parameters = this.add(
      folding,
      'parameters',
      (i) => folded.weights[i],
      (i) => whole.weights[i],
    );
    this.add(
      folding,
      'buffers',
      (i) => folded.weights[graph.parameters.length + i],
      (i) => whole.weights[folding.whole.parameters.length + i],
    );
    if (folded.gradients.length > 0)
      this.add(
        folding,
        'parameters',
        (i) => folded.gradients[i],
        (i) => whole.gradients[i],
        'gradient',
      );
    for (let id = folded.inputs; id < folded.end; id++) this.storages[id] = [whole.inputs + id - folded.inputs];
    this.parameterOf = parameters;
  }

  /** Maps a list of weights; gives for each whole one the folded one's index. */
  private add(
    { runs, whole }: Folding,
    list: 'parameters' | 'buffers',
    foldedId: (index: number) => number | undefined,
    wholeId: (index: number) => number | undefined,
    kind: string = list,
  ): number[] {
    const owner: { run: number; layer: number; place: number }[] = [];
    runs.forEach((run, r) => {
      run[list].forEach((own, layer) => {
        own.forEach((i, place) => {
          owner[i] = { run: r, layer, place };
        });
      });
    });
    let next = 0;
    const foldedOf = whole[list].map((_, i) => {
      const own = owner[i];
      const isDropped = own && keptLayer(runs[own.run] as Run, own.layer) === null;
      return isDropped ? -1 : next++;
    });
    whole[list].forEach((_, i) => {
      const own = owner[i];
      if (foldedOf[i] === -1 && own) foldedOf[i] = foldedOf[runs[own.run]?.[list][TEMPLATE]?.[own.place] as number] as number;
    });
    const byLayer = runs.map((run): number[][] => (run[list][TEMPLATE] ?? []).map(() => []));
    whole[list].forEach((_, i) => {
      const own = owner[i];
      const id = foldedId(foldedOf[i] as number) ?? -1;
      if (id < 0) return;
      const storages = own ? (byLayer[own.run]?.[own.place] as number[]) : [];
      storages[own?.layer ?? 0] = wholeId(i) as number;
      this.storages[id] = storages;
      if (!own) return;
      const run = runs[own.run] as Run;
      const kept = keptLayer(run, own.layer);
      if (kept !== null) this.layer[id] = layerCode(own.run, kept);
      this.slots[id] = `${kind} ${own.place}`;
    });
    return foldedOf;
  }

  storage(id: number, layer: number): number {
    const found = this.storages[id]?.[layer];
    if (found === undefined) throw new Unfoldable();
    return found;
  }
}
