/** Which release of transformers a config speaks of, and what differs between releases. Read off the released packages. */
import type { Shift } from '../../blocks/losses.js';

/** Major and minor version. */
export interface Release {
  major: number;
  minor: number;
}

/** The release whose code the readers follow. */
export const NEWEST: Release = { major: 5, minor: 23 };

/** First release in which a family's default attention is the fused one; null for families that have it written out only. */
const FUSED_SINCE: Record<string, [major: number, minor: number] | null> = {
  llama: [4, 36],
  mistral: [4, 36],
  mixtral: [4, 36],
  bart: [4, 36],
  phi: [4, 38],
  qwen2: [4, 37],
  gemma: [4, 38],
  qwen3: [4, 51],
  bert: [4, 41],
  gpt2: [4, 42],
  gpt_neox: [4, 42],
  roberta: [4, 45],
  albert: [4, 45],
  opt: [4, 46],
  distilbert: [4, 46],
  electra: [5, 0],
  t5: [5, 1],
  gpt_neo: null,
  bloom: null,
  gemma2: null,
  'deberta-v2': null,
};

/** Families whose next-token loss was a float32 one before the releases shared theirs. */
const FLOAT32_LOSS = new Set(['llama', 'mistral', 'mixtral', 'qwen2', 'qwen3', 'gemma', 'gemma2', 'phi', 'gpt_neo']);

/** Families that kept a loss of their own in 4.46 and 4.47, and GPT-NeoX in 4.48 too. */
const OWN_LOSS = new Set(['gpt2', 'opt', 'bloom', 'gpt_neox', 'gpt_neo']);

/** Reads `transformers_version` ("4.39.3", "4.40.0.dev0"); the newest where it is absent or unreadable. */
export function parseRelease(version: unknown): Release {
  const match = typeof version === 'string' ? /^(\d+)\.(\d+)/.exec(version) : null;
  return match ? { major: Number(match[1]), minor: Number(match[2]) } : NEWEST;
}

export function isBefore(release: Release, major: number, minor: number): boolean {
  return release.major < major || (release.major === major && release.minor < minor);
}

/** Whether the release runs a family's attention fused when nothing else is asked for. */
export function fusesAttention(release: Release, family: string): boolean {
  const since = FUSED_SINCE[family];
  return since !== null && since !== undefined && !isBefore(release, ...since);
}

/** Whether the shared call of fused attention copies what is not dense, as it did to work around a fault of torch 2.1. */
export function copiesHeads(release: Release): boolean {
  return !isBefore(release, 4, 48) && isBefore(release, 4, 56);
}

/** Whether a family has the fused attention at all, in the newest release. */
export function canFuseAttention(family: string): boolean {
  return FUSED_SINCE[family] !== null;
}

/**
 * How a release's next-token loss shifts: from 4.49 on it pads the labels, before it copies all logits but the last
 * token's; the shared loss of 4.46 made that copy in float32, as Llama and its kin did before it.
 */
export function shiftOf(release: Release, family: string): Shift {
  if (!isBefore(release, 4, 49)) return 'pad-labels';
  const ownUntil = family === 'gpt_neox' ? 49 : 48;
  const own = isBefore(release, 4, 46) || (OWN_LOSS.has(family) && isBefore(release, 4, ownUntil));
  return own && !FLOAT32_LOSS.has(family) ? 'copy-logits' : 'copy-logits-float32';
}
