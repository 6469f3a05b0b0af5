/** What a profile says about itself, without building its graph. */
import type { ModelProfileSummary } from '../../open.js';

/** Name, description and published size of a parsed profile. */
export function summarizeProfile(document: unknown, name: string): ModelProfileSummary {
  const fields = document as { about?: string; parameters?: number; input?: Input; config?: object };
  return {
    name,
    about: fields.about ?? '',
    parameters: fields.parameters ?? 0,
    input: fields.config ? 'tokens' : exampleInput(fields.input ?? {}),
  };
}

interface Input {
  image?: number[];
  tokens?: { length: number };
  features?: number;
}

/** One example, without the batch: "3x224x224". */
function exampleInput({ image, tokens, features }: Input): string {
  if (image) return image.join('x');
  return tokens ? `${tokens.length} tokens` : String(features ?? '');
}
