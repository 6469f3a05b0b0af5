/** One micro step of training on tensors without values: forward, backward, and what is dropped when. */
import { BatchfitError, MissingError, UsageError } from '../errors.js';
import type { DType, ModelGraph } from '../model/graph.js';
import { outerWeights } from '../model/methods/heads.js';
import { trainedGraph } from '../model/methods/trained.js';
import { bindSizes, type SymbolValues } from '../model/sizes.js';
import type { Setup } from '../setup.js';
import { type Leaf, runBackward } from './autograd.js';
import { ELEMENT_BYTES, type ElementType } from './dtype.js';
import { runForward, type Values } from './forward.js';
import { type Kernel, KernelLog } from './kernels.js';
import { type Program, programOf, UNKNOWN_HINT } from './program.js';
import { clearCastCache } from './registry.js';
import { Session } from './session.js';
import { communicationBuffers, sharesOf } from './sharding.js';
import type { Category } from './tape.js';
import { channelsLastStrides, contiguousStrides, type Tensor } from './tensor.js';
import { splitGraph } from './tensor-parallel.js';

/** Births (id) and deaths (-1 - id) of storages, in order. */
export type Events = number[];

export interface StepTrace {
  /** What was traced: the model as the setup's method trains it. */
  graph: ModelGraph;
  /** Bytes and purpose of every storage, by id. Ids below `permanent` are parameters and buffers. */
  bytes: number[];
  categories: Category[];
  permanent: number;
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
  /** The trained weights, for the optimizer; `hidden` (neither embedding nor head) is told for Muon alone. */
  trained: { shape: readonly number[]; bytes: number; type: ElementType; hidden?: boolean }[];
  parameters: number;
  trainableParameters: number;
  /** Whether a matrix product runs: the libraries then hold workspaces. */
  multipliesMatrices: boolean;
  /** How often each kernel family ran in one forward pass. */
  kernels: ReadonlyMap<string, number>;
  /** Every kernel of forward and backward in order, where the caller asked for them. */
  kernelLog: readonly Kernel[] | null;
}

export interface TraceOptions {
  /** Compute capability times ten, 0 off CUDA. */
  capability: number;
  /** See SessionOptions.outOfPlaceSums. */
  outOfPlaceSums: boolean;
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
  const program = programOf(splitGraph(whole, setup.tensorParallel), setup.generic);
  if (setup.checkpointing !== 'none' && program.regions.length === 0) {
    throw new MissingError(
      'NO_CHECKPOINTS',
      `${model.name} names no module calls to recompute`,
      'use --checkpointing none, or add "checkpoints" to the graph',
    );
  }
  const s = new Session({
    modelType: modelTypeOf(setup),
    autocast: autocastTypeOf(setup),
    attention: setup.attention,
    capability: options.capability,
    outOfPlaceSums: options.outOfPlaceSums,
    selective: setup.checkpointing === 'selective',
  });
  if (options.logsKernels) s.log = new KernelLog(s);
  try {
    return { ...new MicroStep(s, program, setup, options.accumulating).trace(), ...countsOf(whole) };
  } catch (error) {
    if (program.assumed.length === 0 || error instanceof BatchfitError) throw error;
    const names = program.assumed.join(', ');
    throw new UsageError('NOT_COVERED', `${model.name}: what ${names} makes has a shape that only a rule could tell`, UNKNOWN_HINT);
  }
}

/** Weights of the whole model, also where a device holds a part of them. */
function countsOf({ parameters }: ModelGraph): Pick<StepTrace, 'parameters' | 'trainableParameters'> {
  const elements = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
  return {
    parameters: parameters.reduce((sum, p) => sum + (p.values ?? elements(p.shape)), 0),
    trainableParameters: parameters.reduce((sum, p) => sum + (p.trainable === false ? 0 : elements(p.shape)), 0),
  };
}

class MicroStep {
  private readonly values: Values;
  private readonly leaves: Leaf[] = [];
  private readonly symbols: SymbolValues;

  constructor(
    private readonly s: Session,
    private readonly program: Program,
    private readonly setup: Setup,
    private readonly accumulating: boolean,
  ) {
    this.values = new Array<Tensor | null>(program.slots).fill(null);
    this.symbols = symbolsFor(program.graph, setup.batch);
  }

  trace(): Omit<StepTrace, 'parameters' | 'trainableParameters'> {
    const { s, program } = this;
    this.makeWeights();
    const permanent = s.tape.bytes.length;
    if (this.accumulating) this.makeGradients();
    this.cut();
    this.makeInputs();
    const makeInputs = this.cut();
    runForward(s, program, this.values, { symbols: this.symbols, checkpointing: this.setup.checkpointing !== 'none' });
    clearCastCache(s);
    const loss = this.takeSlot(program.lossSlot) as Tensor;
    const outputs = program.outputSlots.map((slot) => this.takeSlot(slot));
    if (!this.setup.keepOutputs) for (const t of outputs) s.release(t);
    const forward = this.cut();
    runBackward(s, loss, this.leaves);
    const backward = this.cut();
    const trained = this.trainedWeights();
    s.release(loss);
    const dropLoss = this.cut();
    for (const slot of program.inputSlots) s.release(this.takeSlot(slot));
    const dropInputs = this.cut();
    if (this.setup.keepOutputs) for (const t of outputs) s.release(t);
    const dropOutputs = this.cut();
    for (const leaf of this.leaves) s.release(leaf.gradient);
    const dropGradients = this.cut();
    return {
      graph: program.graph,
      bytes: this.sharedBytes(permanent),
      categories: s.tape.category,
      permanent,
      makers: s.tape.maker,
      makeInputs,
      forward,
      backward,
      dropLoss,
      dropInputs,
      dropOutputs,
      dropGradients,
      trained,
      multipliesMatrices: s.tape.kernels.has('matrix product'),
      kernels: s.tape.kernels,
      kernelLog: s.log?.kernels ?? null,
    };
  }

  private trainedWeights(): StepTrace['trained'] {
    const outer = this.setup.optimizer === 'muon' ? outerWeights(this.program.graph) : null;
    const names = this.program.graph.parameters.filter((p) => p.trainable !== false).map((p) => p.name);
    const { states } = sharesOf(this.setup);
    // DeepSpeed's optimizer runs on its master copy.
    const stateBytes = (type: ElementType): number => (this.setup.sharding.startsWith('zero') ? 4 : ELEMENT_BYTES[type]);
    return this.leaves.flatMap(({ tensor, gradient }, i) => {
      const { type } = tensor;
      const part = states > 1 ? [Math.ceil(tensor.elements / states)] : null;
      const [shape, bytes] = part ? [part, (part[0] as number) * stateBytes(type)] : [tensor.shape, tensor.bytes];
      return gradient ? [{ shape, bytes, type, ...(outer ? { hidden: !outer.has(names[i] as string) } : {}) }] : [];
    });
  }

  /** The events since the last cut. */
  private cut(): Events {
    return this.s.tape.events.splice(0);
  }

  private takeSlot(slot: number): Tensor | null {
    const t = this.values[slot] ?? null;
    this.values[slot] = null;
    return t;
  }

  private makeWeights(): void {
    const { s, program } = this;
    s.newCategory = 'parameters';
    program.graph.parameters.forEach((p, i) => {
      const t = s.take(this.empty(p.shape, p.dtype ?? 'model'));
      if (p.trainable !== false) {
        t.requiresGrad = true;
        t.parameter = this.leaves.length;
        this.leaves.push({ tensor: t, gradient: null });
      }
      this.values[program.parameterSlots[i] as number] = t;
    });
    program.graph.buffers.forEach((b, i) => {
      this.values[program.bufferSlots[i] as number] = s.take(this.empty(b.shape, b.dtype));
    });
    if (this.setup.ema)
      for (const slot of [...program.parameterSlots, ...program.bufferSlots]) s.take(s.emptyLike(this.values[slot] as Tensor));
    for (const { bytes, category } of communicationBuffers(program.graph, this.setup, s.options.modelType)) {
      s.newCategory = category;
      s.take(s.emptyBytes([bytes], 'uint8', [1], bytes));
    }
    s.newCategory = 'temporaries';
  }

  /** Bytes of each storage on one device: weights and gradients that devices share are there in part. */
  private sharedBytes(weights: number): number[] {
    const { tape } = this.s;
    const shares = sharesOf(this.setup);
    if (shares.parameters === 1 && shares.gradients === 1) return tape.bytes;
    return tape.bytes.map((bytes, id) => {
      if (id < this.program.graph.parameters.length) return Math.ceil(bytes / shares.parameters);
      return id >= weights && tape.category[id] === 'gradients' ? Math.ceil(bytes / shares.gradients) : bytes;
    });
  }

  private makeGradients(): void {
    this.s.newCategory = 'gradients';
    for (const leaf of this.leaves) leaf.gradient = this.s.take(this.s.emptyLike(leaf.tensor));
    this.s.newCategory = 'temporaries';
  }

  private makeInputs(): void {
    const { s, program } = this;
    const size = bindSizes(this.symbols);
    s.newCategory = 'inputs';
    program.graph.inputs.forEach((input, i) => {
      this.values[program.inputSlots[i] as number] = s.take(
        this.empty(
          input.shape.map((n) => size(n)),
          input.dtype,
        ),
      );
    });
    s.newCategory = 'temporaries';
  }

  /** A weight, buffer or input; channels_last moves those of four dimensions, as `module.to(memory_format=...)` does. */
  private empty(shape: readonly number[], type: DType): Tensor {
    const channelsLast = this.setup.channelsLast && shape.length === 4;
    const elementType = type === 'model' ? this.s.options.modelType : type;
    return this.s.empty(shape, elementType, channelsLast ? channelsLastStrides(shape) : contiguousStrides(shape));
  }
}
