/** Reads a model, and has PyTorch export it where no file and no shipped graph has it. */
import { BatchfitError } from '../../errors.js';
import type { ModelGraph } from '../../model/graph.js';
import { readModel } from '../../model/open.js';
import type { ModelOptions } from '../../model/options.js';

/**
 * As `readModel`, and on the spot for `file.py:function`, `hf:PATH` and what timm or torchvision has beyond the shipped
 * graphs. `interrupted` is asked only where there is an export to stop.
 */
export async function openModel(reference: string, options: ModelOptions, interrupted: () => AbortSignal): Promise<ModelGraph> {
  if (!reference.startsWith('hf:')) {
    try {
      return await readModel(reference, options);
    } catch (error) {
      if (!(error instanceof BatchfitError && error.code === 'NEEDS_EXPORT')) throw error;
    }
  }
  const { exportModel } = await import('../../probe/engines/torch/exporter.js');
  return exportModel(reference, options, interrupted());
}
