/**
 * What a traced step makes the device do: one record a kernel, with its floating point operations and the bytes that it
 * must read and write at least. Off unless asked for, so that estimates of memory do not pay for it.
 *
 * Products, convolutions, attention and what runs beside another kernel say for themselves what they do. Every other
 * operator that made a new tensor, or works in place, is one kernel that reads its tensors and writes its results.
 */
import { ELEMENT_BYTES, type ElementType, isFloating } from './dtype.js';
import type { Session } from './session.js';
import { isDense, sameShape, Tensor } from './tensor.js';

export const KERNEL_KINDS = [
  'matmul',
  'convolution',
  'attention',
  'normalization',
  'softmax',
  'elementwise',
  'reduction',
  'pooling',
  'copy',
  'indexing',
  'embedding',
  'fill',
  'optimizer',
] as const;
export type KernelKind = (typeof KERNEL_KINDS)[number];

export const KERNEL_PHASES = ['forward', 'backward', 'recompute', 'optimizer'] as const;
export type KernelPhase = (typeof KERNEL_PHASES)[number];

/** `groups` products of [rows, inner] by [inner, columns]: what a product, or a convolution as one, works through. */
export interface MatrixProduct {
  groups: number;
  rows: number;
  columns: number;
  inner: number;
}

export interface Convolution {
  part: 'forward' | 'input-gradient' | 'weight-gradient';
  /** Positions of the filter: height times width. */
  taps: number;
  stride: number;
  /** Its tensors have the channel innermost. */
  channelsLast: boolean;
}

export interface Kernel {
  kind: KernelKind;
  /** The operator, or the autograd function whose backward this is. */
  name: string;
  phase: KernelPhase;
  /** What it computes in: the type of its first floating input. */
  type: ElementType;
  /** Multiplications and additions of products, as torch.utils.flop_counter counts them; 0 for everything else. */
  flops: number;
  /** Each tensor once, a broadcast one as it lies in memory. */
  readBytes: number;
  writtenBytes: number;
  product: MatrixProduct | null;
  convolution: Convolution | null;
  /** Size of the last dimension of its first input: what a normalization or a softmax puts together. */
  row: number;
  /** Attention that skips what lies above the diagonal: half of `flops` is not done. */
  causal: boolean;
  /** It reads in one order of dimensions and writes in another. */
  reorders: boolean;
  /** How many layers it runs in: more than one where one of them stands for all. */
  times: number;
}

const COMPARED = ['kind', 'name', 'phase', 'type', 'flops', 'readBytes', 'writtenBytes', 'row', 'causal', 'reorders'] as const;

/** Whether two kernels do the same work, however often each runs. */
export function sameKernel(a: Kernel, b: Kernel): boolean {
  const [p, q, c, d] = [a.product, b.product, a.convolution, b.convolution];
  return (
    COMPARED.every((field) => a[field] === b[field]) &&
    p?.groups === q?.groups &&
    p?.rows === q?.rows &&
    p?.columns === q?.columns &&
    p?.inner === q?.inner &&
    c?.part === d?.part &&
    c?.taps === d?.taps &&
    c?.channelsLast === d?.channelsLast
  );
}

type Extra = Partial<Pick<Kernel, 'flops' | 'product' | 'convolution' | 'causal'>>;
type Laid = Pick<Tensor, 'shape' | 'strides'>;
type Tensors = readonly (Tensor | null | undefined)[];

const KIND_OF: Record<string, KernelKind> = Object.fromEntries(
  (
    [
      ['normalization', 'batch_norm native_batch_norm native_layer_norm layer_norm native_group_norm group_norm _fused_rms_norm rms_norm'],
      ['softmax', '_softmax softmax _log_softmax log_softmax _safe_softmax logsumexp'],
      [
        'pooling',
        `max_pool2d max_pool2d_with_indices avg_pool2d _adaptive_avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d upsample
         upsample_nearest2d upsample_bilinear2d upsample_bicubic2d grid_sampler grid_sampler_2d im2col col2im`,
      ],
      ['embedding', 'embedding'],
      [
        'indexing',
        'index index_put index_put_ index_select index_add index_add_ gather scatter scatter_ scatter_add scatter_add_ nll_loss nll_loss_nd one_hot topk sort argsort max nonzero',
      ],
      [
        'copy',
        `clone contiguous _to_copy to copy_ cat concat stack pad constant_pad_nd reflection_pad slice select split unbind repeat tile
         repeat_interleave roll flip unfold pixel_shuffle channel_shuffle tril triu`,
      ],
      ['reduction', 'sum mean amax amin var std var_mean std_mean linalg_vector_norm cumsum argmax argmin any all min'],
      [
        'fill',
        `zeros ones full rand randn randint zeros_like ones_like full_like rand_like randn_like new_zeros new_ones new_full arange linspace eye scalar_tensor tensor fill_ zero_ bernoulli_ uniform_ normal_`,
      ],
    ] as [KernelKind, string][]
  ).flatMap(([kind, names]) => names.split(/\s+/).map((name) => [name, kind])),
);

/** Operators that make or change a tensor without any work on the device. */
const IDLE = new Set(['empty', 'empty_like', 'new_empty', 'detach_', 'requires_grad_', 'squeeze_', 'unsqueeze_', 'transpose_', 't_']);

export class KernelLog {
  readonly kernels: Kernel[] = [];
  phase: KernelPhase = 'forward';

  constructor(private readonly session: Session) {}

  /** A kernel that reads and writes these tensors. */
  add(kind: KernelKind, name: string, read: Tensors, written: Tensors, extra: Extra = {}): void {
    this.push({
      kind,
      name,
      type: typeOf(read) ?? (read[0] ?? written[0])?.type ?? 'float32',
      flops: extra.flops ?? productFlops(extra.product),
      readBytes: bytesOf(read),
      writtenBytes: bytesOf(written),
      product: extra.product ?? null,
      convolution: extra.convolution ?? null,
      row: rowOf(read[0] ?? written[0]),
      causal: extra.causal ?? false,
      reorders: reorders(read, written),
    });
  }

  private push(kernel: Partial<Kernel> & Pick<Kernel, 'kind' | 'name' | 'type' | 'readBytes' | 'writtenBytes' | 'reorders'>): void {
    const phase = this.session.recomputing ? 'recompute' : this.phase;
    this.kernels.push({ phase, flops: 0, product: null, convolution: null, row: 1, causal: false, times: 1, ...kernel });
  }

  /** A matrix product: a [groups, rows, inner] or [rows, inner] by b. */
  product(name: string, a: Tensor, b: Tensor, out: Tensor, ...alsoRead: Tensor[]): void {
    const groups = a.shape.length === 3 ? a.size(0) : 1;
    const product = { groups, rows: a.size(-2), columns: b.size(-1), inner: a.size(-1) };
    this.add('matmul', name, [a, b, ...alsoRead], [out], { product });
  }

  /** A copy of `t`, where it does not lie in memory with these strides. */
  copyUnlessLaid(t: Tensor, strides: readonly number[]): void {
    const laid = { shape: t.shape, strides };
    if (sameOrder(t, laid)) return;
    const bytes = t.elements * ELEMENT_BYTES[t.type];
    const read = Math.min(bytes, t.storage.bytes);
    this.push({ kind: 'copy', name: 'contiguous', type: t.type, readBytes: read, writtenBytes: bytes, reorders: isDense(t) });
  }

  /** Runs an operator; where it logs nothing itself, what it made or changed counts as one kernel. */
  operator<T extends Tensor | (Tensor | null)[]>(name: string, read: readonly unknown[], run: () => T): T {
    const [logged, born] = [this.kernels.length, this.session.tape.bytes.length];
    const result = run();
    if (this.kernels.length > logged || IDLE.has(name)) return result;
    const made: Tensor[] = [];
    if (Array.isArray(result)) for (const t of result) if (t && t.storage.id >= born) made.push(t);
    if (result instanceof Tensor && result.storage.id >= born) made.push(result);
    if (made.length === 0 && !name.endsWith('_')) return result;
    const inputs = tensorsIn(read, []);
    const [first] = inputs;
    if (made.length > 0) this.add(KIND_OF[name] ?? 'elementwise', name, inputs, made);
    else if (first) {
      const plain = name.slice(0, -1);
      this.add(KIND_OF[name] ?? KIND_OF[plain] ?? 'elementwise', name, KIND_OF[name] === 'fill' ? [] : inputs, [first]);
    }
    return result;
  }
}

/** The type of the first floating tensor. */
function typeOf(tensors: Tensors): ElementType | null {
  for (const t of tensors) if (t && isFloating(t.type)) return t.type;
  return null;
}

const rowOf = (t: Tensor | null | undefined): number => t?.shape.at(-1) ?? 1;

function tensorsIn(values: readonly unknown[], found: Tensor[]): Tensor[] {
  for (const value of values) {
    if (value instanceof Tensor) found.push(value);
    else if (Array.isArray(value)) tensorsIn(value, found);
  }
  return found;
}

function productFlops(product: MatrixProduct | undefined | null): number {
  return product ? 2 * product.groups * product.rows * product.columns * product.inner : 0;
}

function bytesOf(tensors: Tensors): number {
  let bytes = 0;
  for (let i = 0; i < tensors.length; i++) {
    const t = tensors[i];
    if (t) bytes += Math.min(t.elements * ELEMENT_BYTES[t.type], t.storage.bytes);
  }
  return bytes;
}

function reorders(read: Tensors, written: Tensors): boolean {
  const out = written[0];
  if (!out || out.shape.length < 2) return false;
  for (const t of read) if (t && t !== out && sameShape(t.shape, out.shape) && !sameOrder(t, out) && isDense(t)) return true;
  return false;
}

function sameOrder(a: Laid, b: Laid): boolean {
  for (let i = 0; i < a.strides.length; i++) if (a.shape[i] !== 1 && a.strides[i] !== b.strides[i]) return false;
  return true;
}
