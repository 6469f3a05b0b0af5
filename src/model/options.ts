/** What a caller may choose about a model beside its reference. */
import type { Attention } from '../setup.js';

export const HEADS = [
  'causal-lm',
  'masked-lm',
  'sequence-classification',
  'token-classification',
  'seq2seq-lm',
  'image-classification',
] as const;
export type Head = (typeof HEADS)[number];

export interface ModelOptions {
  /** Image height and width. */
  image?: [number, number] | undefined;
  /** Sequence length. */
  seq?: number | undefined;
  /** Number of classes of the last layer. */
  classes?: number | undefined;
  /** One of HEADS; overrides a config's `architectures`. */
  head?: string | undefined;
  /** `math` writes attention out operator by operator where the real code has that choice (Hugging Face "eager"). */
  attention?: Attention | undefined;
}
