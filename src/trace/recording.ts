/** Records one micro step of a graph as it stands: forward, backward, and what is dropped when. */
import type { DType, ModelGraph } from '../model/graph.js';
import { bindSizes, type SymbolValues } from '../model/sizes.js';
import type { Setup } from '../setup.js';
import { type Leaf, runBackward } from './autograd.js';
import { runForward, type Values } from './forward.js';
import type { Kernel } from './kernels.js';
import { type Block, LayerMarks } from './layer-marks.js';
import type { Program } from './program.js';
import { clearCastCache } from './registry.js';
import type { Session } from './session.js';
import { communicationBuffers } from './sharding.js';
import type { Category } from './tape.js';
import { channelsLastStrides, contiguousStrides, type Tensor } from './tensor.js';

/** Births (id) and deaths (-1 - id) of storages, in order. */
export type Events = number[];

/** Ids of the storages that are there before forward. */
export interface Head {
  /** Of each parameter, then of each buffer; -1 where one is empty. */
  weights: number[];
  /** Of each parameter's gradient, -1 for a frozen one; empty where gradients are not there yet. */
  gradients: number[];
  /** Weights and what else lives as long as the training come before this one. */
  permanent: number;
  /** The first input, and the first of forward. */
  inputs: number;
  end: number;
}

export interface Recording {
  head: Head;
  /** Bytes and purpose of every storage, by id. */
  bytes: number[];
  categories: Category[];
  /** Index of the graph node that made each storage, -1 for weights and inputs. */
  makers: number[];
  makeInputs: Events;
  forward: Events;
  backward: Events;
  /** What dies when the loop lets go of each of these. */
  dropLoss: Events;
  dropInputs: Events;
  dropOutputs: Events;
  dropGradients: Events;
  /** Where repeated layers begin, if the caller named them. */
  forwardBlocks: Block[];
  backwardBlocks: Block[];
  /** Whether backward gave each parameter a gradient. */
  hasGradient: boolean[];
  /** How often each kernel family ran in one forward pass. */
  kernels: ReadonlyMap<string, number>;
  /** Every kernel of forward and backward in order, where the caller asked for them. */
  kernelLog: readonly Kernel[] | null;
}

/** What is there before forward: tensors by the graph's lists, and the ids of their storages. */
export interface Placed {
  head: Head;
  parameters: Tensor[];
  buffers: Tensor[];
  inputs: Tensor[];
  /** The trained parameters, in order. */
  leaves: Leaf[];
  makeInputs: Events;
}

/** Makes a graph's weights, gradients of a step before (where they are accumulated), and a batch. */
export function placeHead(s: Session, graph: ModelGraph, setup: Setup, accumulating: boolean, symbols: SymbolValues): Placed {
  /** A weight, buffer or input; channels_last moves those of four dimensions, as `module.to(memory_format=...)` does. */
  const empty = (shape: readonly number[], type: DType): Tensor => {
    const channelsLast = setup.channelsLast && shape.length === 4;
    const elementType = type === 'model' ? s.options.modelType : type;
    return s.take(s.empty(shape, elementType, channelsLast ? channelsLastStrides(shape) : contiguousStrides(shape)));
  };
  const leaves: Leaf[] = [];
  s.newCategory = 'parameters';
  const parameters = graph.parameters.map((p) => {
    const t = empty(p.shape, p.dtype ?? 'model');
    if (p.trainable === false) return t;
    t.requiresGrad = true;
    t.parameter = leaves.length;
    leaves.push({ tensor: t, gradient: null });
    return t;
  });
  const buffers = graph.buffers.map((b) => empty(b.shape, b.dtype));
  if (setup.ema) for (const t of [...parameters, ...buffers]) s.take(s.emptyLike(t));
  for (const { bytes, category } of communicationBuffers(graph, setup, s.options.modelType)) {
    s.newCategory = category;
    s.take(s.emptyBytes([bytes], 'uint8', [1], bytes));
  }
  const permanent = s.tape.bytes.length;
  s.newCategory = 'gradients';
  if (accumulating) for (const leaf of leaves) leaf.gradient = s.take(s.emptyLike(leaf.tensor));
  const inputs = s.tape.bytes.length;
  s.tape.events.splice(0);
  s.newCategory = 'inputs';
  const size = bindSizes(symbols);
  const batch = graph.inputs.map((input) =>
    empty(
      input.shape.map((n) => size(n)),
      input.dtype,
    ),
  );
  s.newCategory = 'temporaries';
  const gradients = accumulating ? parameters.map((t) => (t.parameter < 0 ? -1 : (leaves[t.parameter]?.gradient?.storage.id ?? -1))) : [];
  const head = { weights: [...parameters, ...buffers].map((t) => t.storage.id), gradients, permanent, inputs, end: s.tape.bytes.length };
  return { head, parameters, buffers, inputs: batch, leaves, makeInputs: s.tape.events.splice(0) };
}

/** Runs a program's micro step; `layerOf` names the repeated layers that its nodes belong to. */
export function record(
  s: Session,
  program: Program,
  setup: Setup,
  { accumulating, symbols, layerOf }: { accumulating: boolean; symbols: SymbolValues; layerOf: Int32Array | null },
): Recording {
  const { tape } = s;
  const cut = (): Events => tape.events.splice(0);
  const { head, leaves, makeInputs, ...placed } = placeHead(s, program.graph, setup, accumulating, symbols);
  const values: Values = new Array<Tensor | null>(program.slots).fill(null);
  const fill = (slots: readonly number[], tensors: readonly Tensor[]): void => {
    for (const [i, slot] of slots.entries()) values[slot] = tensors[i] as Tensor;
  };
  fill(program.parameterSlots, placed.parameters);
  fill(program.bufferSlots, placed.buffers);
  fill(program.inputSlots, placed.inputs);
  const takeSlot = (slot: number): Tensor | null => {
    const t = values[slot] ?? null;
    values[slot] = null;
    return t;
  };
  if (layerOf) s.marks = new LayerMarks(s, layerOf);
  runForward(s, program, values, { symbols, checkpointing: setup.checkpointing !== 'none' });
  s.marks?.enter(-1);
  clearCastCache(s);
  const loss = takeSlot(program.lossSlot) as Tensor;
  const outputs = program.outputSlots.map(takeSlot);
  const dropOutputs = (): void => {
    for (const t of outputs) s.release(t);
  };
  if (!setup.keepOutputs) dropOutputs();
  const forwardBlocks = s.marks?.cut() ?? [];
  const forward = cut();
  runBackward(s, loss, leaves);
  const backwardBlocks = s.marks?.cut() ?? [];
  const backward = cut();
  const hasGradient = placed.parameters.map((t) => t.parameter >= 0 && leaves[t.parameter]?.gradient !== null);
  s.release(loss);
  const lossEvents = cut();
  for (const slot of program.inputSlots) s.release(takeSlot(slot));
  const inputEvents = cut();
  if (setup.keepOutputs) dropOutputs();
  const outputEvents = cut();
  for (const leaf of leaves) s.release(leaf.gradient);
  return {
    head,
    bytes: tape.bytes,
    categories: tape.category,
    makers: tape.maker,
    makeInputs,
    forward,
    backward,
    dropLoss: lossEvents,
    dropInputs: inputEvents,
    dropOutputs: outputEvents,
    dropGradients: cut(),
    forwardBlocks,
    backwardBlocks,
    hasGradient,
    kernels: tape.kernels,
    kernelLog: s.log?.kernels ?? null,
  };
}
