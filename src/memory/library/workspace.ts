/**
 * What cuDNN may ask for beyond the workspaces of a trace. Its heuristics are not published; where they pick Winograd's
 * algorithm for a 3x3 convolution, the transformed tensors lie in the workspace. The largest of those bounds a reading.
 */
import type { Argument, GraphNode } from '../../model/graph.js';
import type { Setup } from '../../setup.js';
import { WINOGRAD_OUTPUT, winogradBytes } from '../../trace/index.js';
import type { Bytes } from '../../units.js';
import type { StepTrace } from '../step.js';

const FLOAT32_BYTES = 4;
const TAPS = 9;

/** By how much the largest workspace of Winograd's algorithm passes the traced one, at any batch; 0 where none does. */
export class WorkspaceSpread {
  /** For each convolution: bytes that grow with the batch, and the weight's. */
  private readonly lines: { perSample: Bytes; fixed: Bytes }[] = [];

  constructor({ graph, forward, makers, bytes, categories }: StepTrace, setup: Setup, batch: number) {
    // In low precision tensor cores are faster, and Winograd's kernels read one plane after the other.
    if (setup.precision !== 'fp32' || setup.channelsLast) return;
    const shapes = new Map(graph.parameters.map(({ name, shape }) => [`%${name}`, shape] as const));
    const outputs = new Map<number, Bytes>();
    const traced = new Map<number, Bytes>();
    for (const id of forward) {
      const maker = id < 0 ? -1 : (makers[id] as number);
      const found = categories[id] === 'workspaces' ? traced : outputs;
      if (maker >= 0 && !found.has(maker)) found.set(maker, bytes[id] as number);
    }
    for (const [maker, output] of outputs) {
      const channels = winogradChannels(graph.nodes[maker], shapes);
      if (!channels) continue;
      const [channelsOut, channelsIn] = channels;
      const tiles = output / FLOAT32_BYTES / channelsOut / WINOGRAD_OUTPUT ** 2;
      const weight = winogradBytes(0, channelsIn, channelsOut);
      const copies = traced.get(maker) ?? 0;
      const weightCopy = copies && FLOAT32_BYTES * TAPS * channelsIn * channelsOut;
      const growing = winogradBytes(tiles, channelsIn, channelsOut) - weight - (copies - weightCopy);
      this.lines.push({ perSample: growing / batch, fixed: weight - weightCopy });
    }
  }

  at(batch: number): Bytes {
    return this.lines.reduce((most, { perSample, fixed }) => Math.max(most, fixed + perSample * batch), 0);
  }
}

/** Channels out and in of a 3x3 convolution of whole planes, one step at a time; null of any other node. */
function winogradChannels(node: GraphNode | undefined, shapes: ReadonlyMap<Argument, number[]>): [number, number] | null {
  if (node?.op !== 'aten.conv2d') return null;
  const [, weight = null, , stride = 1, , dilation = 1, groups = 1] = node.args;
  const [channelsOut, channelsIn, ...taps] = shapes.get(weight) ?? [];
  if (!channelsOut || !channelsIn || taps.length !== 2 || !taps.every((t) => t === 3)) return null;
  return [stride, dilation, groups].flat().every((each) => each === 1) ? [channelsOut, channelsIn] : null;
}
