/** Finds layers that repeat in a graph: the same nodes again and again, each layer reading the one before it. */
import type { GraphNode, ModelGraph } from '../model/graph.js';
import { Comparison, type GraphIndex, pathWithin, type Segment } from './layer-comparison.js';

/** Layers that a folded run has: the first, the one that stands for the middle, one more like it, and the last. */
export const KEPT = 5;
/** The one that stands for the middle. */
export const TEMPLATE = 2;
/** Runs of fewer layers are left as they are. */
const FEWEST_LAYERS = KEPT + 3;

/** Layers of equal nodes, one after another. */
export interface Run {
  /** Node `first + l * length` of the whole graph begins layer l. */
  first: number;
  length: number;
  layers: number;
  /** Each layer's own parameters and buffers: indices into the whole graph's lists, in the order of their first use. */
  parameters: number[][];
  buffers: number[][];
}

/** The layer of the whole run that a kept one is; the template is the first of the middle. */
export function wholeLayer(run: Run, kept: number): number {
  return kept <= TEMPLATE ? kept : run.layers - KEPT + kept;
}

/** The kept layer that a whole run's layer is; null for one that the template stands for. */
export function keptLayer(run: Run, whole: number): number | null {
  if (whole <= TEMPLATE) return whole;
  return whole > lastOfMiddle(run) ? whole - run.layers + KEPT : null;
}

/** A kept layer of one of several runs as one number, which -1 is none of; and back. */
export const layerCode = (run: number, kept: number): number => run * KEPT + kept;
export const placeOfCode = (code: number): { run: number; kept: number } => ({ run: Math.floor(code / KEPT), kept: code % KEPT });

/** Last layer of the middle. */
export function lastOfMiddle(run: Run): number {
  return run.layers - KEPT + TEMPLATE;
}

export const endOf = (run: Run): number => run.first + run.length * run.layers;

/** Runs of repeating layers, in order and apart from each other; of two that overlap the longer one. */
export function runsOf(graph: ModelGraph, index: GraphIndex): Run[] {
  const found = stretchesOf(graph.nodes, index)
    .flatMap((stretch) => runOf(graph, index, stretch) ?? [])
    .sort((a, b) => b.length * b.layers - a.length * a.layers);
  const runs: Run[] = [];
  for (const run of found) if (runs.every((other) => endOf(other) <= run.first || endOf(run) <= other.first)) runs.push(run);
  return runs.sort((a, b) => a.first - b.first);
}

/** Consecutive calls of modules whose names differ in one number. */
interface Stretch {
  first: number;
  length: number;
  /** Each layer's paths: of one module, or of two that alternate. */
  paths: string[][];
  /** Pairs of a layer's own parameters and buffers with the next layer's. */
  pairs: Map<string, string>[];
}

function stretchesOf(nodes: readonly GraphNode[], index: GraphIndex): Stretch[] {
  return [...familiesOf(nodes).values()].flatMap((segments) => {
    const alike = longStretches(nodes, index, segments);
    return alike.length > 0 ? alike : longStretches(nodes, index, pairsOf(segments));
  });
}

/** Segments of modules whose paths differ in one number, in order. */
function familiesOf(nodes: readonly GraphNode[]): Map<string, Segment[]> {
  const families = new Map<string, Segment[]>();
  let path: string | null = null;
  let places: { family: string; path: string }[] = [];
  nodes.forEach(({ module }, i) => {
    if (module !== path) {
      path = module;
      places = numbersIn(module);
    }
    for (const place of places) {
      const family = families.get(place.family) ?? [];
      families.set(place.family, family);
      const last = family.at(-1);
      if (last?.end === i && last.paths[0] === place.path) last.end++;
      else family.push({ paths: [place.path], start: i, end: i + 1 });
    }
  });
  return families;
}

function numbersIn(module: string): { family: string; path: string }[] {
  const parts = module.split('.');
  return parts.flatMap((name, i) =>
    /^\d+$/.test(name) ? [{ family: parts.slice(0, i).join('.'), path: parts.slice(0, i + 1).join('.') }] : [],
  );
}

/** Neighbours put together: layers of two kinds that alternate. */
function pairsOf(segments: readonly Segment[]): Segment[] {
  const pairs: Segment[] = [];
  for (let i = 0; i + 1 < segments.length; i += 2) {
    const [a, b] = [segments[i] as Segment, segments[i + 1] as Segment];
    if (a.end === b.start) pairs.push({ paths: [...a.paths, ...b.paths], start: a.start, end: b.end });
  }
  return pairs;
}

function longStretches(nodes: readonly GraphNode[], index: GraphIndex, segments: readonly Segment[]): Stretch[] {
  if (segments.length < FEWEST_LAYERS) return [];
  const stretches: Stretch[] = [];
  let open: Stretch | null = null;
  for (let i = 1; i < segments.length; i++) {
    const [a, b] = [segments[i - 1] as Segment, segments[i] as Segment];
    const length = a.end - a.start;
    const pairs = a.end === b.start && b.end - b.start === length ? new Comparison(nodes, index, a, b).pairs() : null;
    if (!pairs) {
      open = null;
      continue;
    }
    if (!open) {
      open = { first: a.start, length, paths: [a.paths], pairs: [] };
      stretches.push(open);
    }
    open.paths.push(b.paths);
    open.pairs.push(pairs);
  }
  return stretches.filter(({ paths }) => paths.length >= FEWEST_LAYERS);
}

/** A stretch as a run, where nothing but its neighbours reads a layer of its middle. */
function runOf(graph: ModelGraph, index: GraphIndex, stretch: Stretch): Run | null {
  const { first, length, paths, pairs } = stretch;
  const layers = paths.length;
  const own = [...pairs.map((pair) => [...pair.keys()]), [...(pairs.at(-1) as Map<string, string>).values()]];
  const run: Run = {
    first,
    length,
    layers,
    parameters: own.map((list) => list.flatMap((name) => index.parameters.get(name) ?? [])),
    buffers: own.map((list) => list.flatMap((name) => index.buffers.get(name) ?? [])),
  };
  const isWhole =
    own.every((list, l) => list.length === own[0]?.length && list.every((name) => readInLayer(index, run, name, l))) &&
    sameWeights(graph, run) &&
    inOrder(run.parameters.slice(TEMPLATE, lastOfMiddle(run) + 2)) &&
    middleIsClosed(graph, index, run) &&
    sameOutputs(graph, index, run) &&
    sameMarks(graph, index, stretch, run);
  return isWhole ? run : null;
}

/** The layer that a node belongs to, -1 outside of the run. */
export function layerAt(run: Run, node: number): number {
  return node < run.first || node >= endOf(run) ? -1 : Math.floor((node - run.first) / run.length);
}

function readInLayer(index: GraphIndex, run: Run, name: string, layer: number): boolean {
  const [from, to] = [index.firstReader.get(name) as number, index.lastReader.get(name) as number];
  return layerAt(run, from) === layer && layerAt(run, to) === layer;
}

function sameWeights({ parameters, buffers }: ModelGraph, run: Run): boolean {
  const described = (layer: number): string =>
    JSON.stringify([
      run.parameters[layer]?.map((i) => ({ ...parameters[i], name: '', aliases: [] })),
      run.buffers[layer]?.map((i) => ({ ...buffers[i], name: '' })),
    ]);
  const template = described(TEMPLATE);
  return run.parameters.every((_, layer) => described(layer) === template);
}

/** Layer after layer without a gap, each in the same order: what happens weight by weight then repeats too. */
function inOrder(lists: readonly (readonly number[])[]): boolean {
  const [start, length] = [Math.min(...(lists[0] ?? [])), lists[0]?.length ?? 0];
  return lists.every((list, l) => list.every((at, q) => at - start - l * length === (lists[0]?.[q] as number) - start));
}

/** Values of the middle are read in their own layer and the next. */
function middleIsClosed(graph: ModelGraph, index: GraphIndex, run: Run): boolean {
  for (let layer = TEMPLATE; layer <= lastOfMiddle(run); layer++) {
    const start = run.first + layer * run.length;
    for (let i = start; i < start + run.length; i++) {
      for (const name of (graph.nodes[i] as GraphNode).outputs) {
        if ((index.lastReader.get(name) ?? i) >= start + 2 * run.length || `%${name}` === graph.loss || name === graph.loss) return false;
      }
    }
  }
  return true;
}

/** What the model returns of the middle: layer after layer, the same of each. */
function sameOutputs(graph: ModelGraph, index: GraphIndex, run: Run): boolean {
  const places = graph.outputs.map((name) => index.makers.get(name.replace(/^%/, ''))?.node ?? -1);
  const at = (layer: number): number[] => places.flatMap((node, i) => (layerAt(run, node) === layer ? [i] : []));
  const template = at(TEMPLATE);
  for (let layer = TEMPLATE; layer <= lastOfMiddle(run) + 1; layer++) {
    const own = at(layer);
    const apart = (layer - TEMPLATE) * template.length;
    const isAlike = own.every((i, q) => {
      const first = template[q] as number;
      return i === first + apart && (places[i] as number) - (places[first] as number) === (layer - TEMPLATE) * run.length;
    });
    if (own.length !== template.length || !isAlike) return false;
  }
  return true;
}

/** Local variables, recomputed leaves and checkpoints of the middle: the same of each layer, and within it. */
function sameMarks(graph: ModelGraph, index: GraphIndex, { paths }: Stretch, run: Run): boolean {
  const marks: string[][] = paths.map(() => []);
  const placed = (value: string): { layer: number; place: string } => {
    const maker = index.makers.get(value.replace(/^%/, ''));
    const layer = maker ? layerAt(run, maker.node) : -1;
    return { layer, place: maker ? `${maker.node - run.first - layer * run.length}/${maker.output}` : '' };
  };
  const isInMiddle = (layer: number): boolean => layer >= TEMPLATE && layer <= lastOfMiddle(run) + 1;
  for (const [value, until] of graph.locals ?? []) {
    const { layer, place } = placed(value);
    const end = until.startsWith('%') ? placed(until) : { layer: paths.findIndex((own) => pathWithin(own, until) !== null), place: until };
    if (!isInMiddle(layer) && !isInMiddle(end.layer)) continue;
    if (end.layer !== layer) return false;
    marks[layer]?.push(`${place} ${until.startsWith('%') ? end.place : pathWithin(paths[layer] as string[], until)}`);
  }
  for (const value of graph.recomputedLeaves ?? []) {
    const { layer, place } = placed(value);
    marks[layer]?.push(`leaf ${place}`);
  }
  for (const path of graph.checkpoints) {
    const layer = paths.findIndex((own) => pathWithin(own, path) !== null);
    marks[layer]?.push(`region ${pathWithin(paths[layer] as string[], path)}`);
  }
  return marks.slice(TEMPLATE, lastOfMiddle(run) + 2).every((own) => own.join() === marks[TEMPLATE]?.join());
}
