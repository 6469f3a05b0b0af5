/** Reads a Hugging Face config.json: the family by `model_type`, the head by `architectures`. */
import { UsageError } from '../../../errors.js';
import type { ModelGraph, ModelSource } from '../../graph.js';
import type { ModelOptions } from '../../options.js';

export async function readHuggingFaceConfig(document: unknown, source: ModelSource, options: ModelOptions): Promise<ModelGraph> {
  throw new UsageError('BAD_CONFIG', `${source.reference}: ${JSON.stringify(document)} ${JSON.stringify(options)}`);
}
