/** One micro step of training on tensors without values: forward, backward, and what is dropped when. */
import { BatchfitError, MissingError, UsageError } from '../errors.js';
import type { ModelGraph, Parameter } from '../model/graph.js';
import { outerWeights } from '../model/methods/heads.js';
import { trainedGraph } from '../model/methods/trained.js';
import type { SymbolValues } from '../model/sizes.js';
import type { Setup } from '../setup.js';
import { ELEMENT_BYTES, type ElementType } from './dtype.js';
import { type Folding, foldingOf } from './folding.js';
import { KernelLog } from './kernels.js';
import { programOf, UNKNOWN_HINT } from './program.js';
import { placeHead, type Recording, record } from './recording.js';
import type { Release } from './release.js';
import { Session } from './session.js';
import { sharesOf } from './sharding.js';
import { splitGraph } from './tensor-parallel.js';
import { unfold } from './unfolding.js';

export type { Events } from './recording.js';

/** What a recording says as it stands. */
type Recorded = Omit<Recording, 'head' | 'forwardBlocks' | 'backwardBlocks' | 'hasGradient'>;

export interface StepTrace extends Recorded {
  /** What was traced: the model as the setup's method trains it. */
  graph: ModelGraph;
  /** Ids below it are parameters and buffers. */
  permanent: number;
  /** The trained weights, for the optimizer; `hidden` (neither embedding nor head) is told for Muon alone. */
  trained: { shape: readonly number[]; bytes: number; type: ElementType; hidden?: boolean }[];
  parameters: number;
  trainableParameters: number;
  /** Whether a matrix product runs: the libraries then hold workspaces. */
  multipliesMatrices: boolean;
}

export interface TraceOptions {
  /** Compute capability times ten, 0 off CUDA. */
  capability: number;
  /** See SessionOptions.outOfPlaceSums. */
  outOfPlaceSums: boolean;
  /** PyTorch that runs. Default: the newest. */
  release?: Release | null;
  /** Gradients are there already, and new ones are added in place. */
  accumulating: boolean;
  /** Record kernels, for predictions of speed. */
  logsKernels?: boolean;
}

/** The symbols of a graph for a micro batch. */
export function symbolsFor(model: ModelGraph, batch: number): SymbolValues {
  const values: SymbolValues = { B: batch };
  for (const name of ['S', 'H', 'W'] as const) {
    const range = model.symbols[name];
    if (range) values[name] = range.default;
  }
  return values;
}

function modelTypeOf(setup: Setup): ElementType {
  return setup.precision === 'bf16' ? 'bfloat16' : setup.precision === 'fp16' ? 'float16' : 'float32';
}

function autocastTypeOf(setup: Setup): ElementType | null {
  return setup.precision === 'amp-bf16' ? 'bfloat16' : setup.precision === 'amp-fp16' ? 'float16' : null;
}

/** Traces one forward and backward pass of `model`. Throws for operators without a rule. */
export function traceStep(model: ModelGraph, setup: Setup, options: TraceOptions): StepTrace {
  const whole = trainedGraph(model, setup);
  const graph = splitGraph(whole, setup.tensorParallel);
  const folding = foldingOf(graph);
  const recording = (folding && recordFolded(folding, setup, options)) ?? recordGraph(graph, null, setup, options);
  return { ...stepTraceOf(recording, graph, setup), ...countsOf(whole) };
}

function recordFolded(folding: Folding, setup: Setup, options: TraceOptions): Recording | null {
  const folded = recordGraph(folding.graph, folding.layerOf, setup, options);
  const s = sessionOf(setup, options);
  const { head, makeInputs } = placeHead(s, folding.whole, setup, options.accumulating, symbolsFor(folding.whole, setup.batch));
  const { bytes, category, maker } = s.tape;
  return unfold(folding, folded, { head, bytes, categories: category, makers: maker, makeInputs });
}

function sessionOf(setup: Setup, options: TraceOptions): Session {
  return new Session({
    modelType: modelTypeOf(setup),
    autocast: autocastTypeOf(setup),
    attention: setup.attention,
    capability: options.capability,
    outOfPlaceSums: options.outOfPlaceSums,
    release: options.release ?? null,
    selective: setup.checkpointing === 'selective',
  });
}

function recordGraph(graph: ModelGraph, layerOf: Int32Array | null, setup: Setup, options: TraceOptions): Recording {
  const program = programOf(graph, setup.generic);
  if (setup.checkpointing !== 'none' && program.regions.length === 0) {
    throw new MissingError(
      'NO_CHECKPOINTS',
      `${graph.name} names no module calls to recompute`,
      'use --checkpointing none, or add "checkpoints" to the graph',
    );
  }
  const s = sessionOf(setup, options);
  if (options.logsKernels) s.log = new KernelLog(s);
  try {
    return record(s, program, setup, { accumulating: options.accumulating, symbols: symbolsFor(graph, setup.batch), layerOf });
  } catch (error) {
    if (program.assumed.length === 0 || error instanceof BatchfitError) throw error;
    const names = program.assumed.join(', ');
    throw new UsageError('NOT_COVERED', `${graph.name}: what ${names} makes has a shape that only a rule could tell`, UNKNOWN_HINT);
  }
}

function stepTraceOf(recording: Recording, graph: ModelGraph, setup: Setup): Omit<StepTrace, 'parameters' | 'trainableParameters'> {
  const { head, forwardBlocks: _forward, backwardBlocks: _backward, hasGradient, bytes, ...rest } = recording;
  return {
    ...rest,
    graph,
    bytes: sharedBytes(recording, graph, setup),
    permanent: head.permanent,
    trained: trainedWeights(recording, graph, setup),
    multipliesMatrices: recording.kernels.has('matrix product'),
  };
}

/** Weights of the whole model, also where a device holds a part of them. */
function countsOf({ parameters }: ModelGraph): Pick<StepTrace, 'parameters' | 'trainableParameters'> {
  return {
    parameters: parameters.reduce((sum, p) => sum + (p.values ?? elementsOf(p)), 0),
    trainableParameters: parameters.reduce((sum, p) => sum + (p.trainable === false ? 0 : elementsOf(p)), 0),
  };
}

function elementsOf({ shape }: Parameter): number {
  return shape.reduce((a, b) => a * b, 1);
}

function trainedWeights({ hasGradient }: Recording, graph: ModelGraph, setup: Setup): StepTrace['trained'] {
  const outer = setup.optimizer === 'muon' ? outerWeights(graph) : null;
  const { states } = sharesOf(setup);
  // DeepSpeed's optimizer runs on its master copy.
  const stateBytes = (type: ElementType): number => (setup.sharding.startsWith('zero') ? 4 : ELEMENT_BYTES[type]);
  return graph.parameters.flatMap((p, i) => {
    if (!hasGradient[i]) return [];
    const type = p.dtype === undefined || p.dtype === 'model' ? modelTypeOf(setup) : p.dtype;
    const hidden = outer ? { hidden: !outer.has(p.name) } : {};
    if (states === 1) return [{ shape: p.shape, bytes: elementsOf(p) * ELEMENT_BYTES[type], type, ...hidden }];
    const part = Math.ceil(elementsOf(p) / states);
    return [{ shape: [part], bytes: part * stateBytes(type), type, ...hidden }];
  });
}

/** Bytes of each storage on one device: weights and gradients that devices share are there in part. */
function sharedBytes({ head, bytes, categories }: Recording, graph: ModelGraph, setup: Setup): number[] {
  const shares = sharesOf(setup);
  if (shares.parameters === 1 && shares.gradients === 1) return bytes;
  return bytes.map((each, id) => {
    if (id < graph.parameters.length) return Math.ceil(each / shares.parameters);
    return id >= head.permanent && categories[id] === 'gradients' ? Math.ceil(each / shares.gradients) : each;
  });
}
