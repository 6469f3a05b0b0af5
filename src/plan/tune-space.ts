/** The space of a study: the learning rate follows the batch by the same rules as a plan's. */
import type { TuneSpace } from '../probe/tune/space.js';
import type { Optimizer } from '../setup.js';
import type { Warning } from './advice.js';
import { type RateRule, type Scaling, scaleLearningRate } from './learning-rate.js';
import { OPTIMIZER_DEFAULTS } from './optimizer.js';

export interface TuneRequest {
  batches: number[];
  optimizer: Optimizer;
  /** A setting known to work. */
  reference: { batch: number; learningRate: number };
  scaling: Scaling;
  /** Measured noise scale in samples, null when not known. */
  noiseScale: number | null;
  spread: number;
}

/** The rule's rate at every batch, and what the rule has to say at the largest of them. */
export function planTuneSpace(request: TuneRequest): { space: TuneSpace; rule: RateRule; warnings: Warning[] } {
  const { optimizer, reference, scaling, noiseScale, spread } = request;
  const { momentum, beta1, beta2 } = OPTIMIZER_DEFAULTS[optimizer];
  const batches = [...new Set(request.batches)].sort((a, b) => a - b);
  const rates = batches.map((batch) =>
    scaleLearningRate({
      optimizer,
      batch,
      reference: {
        ...reference,
        origin: 'user',
        name: 'the reference setting',
        source: 'given by the user',
        rule: null,
        limit: null,
        momentum,
      },
      scaling,
      datasetSize: null,
      noiseScale,
      momentum: null,
      beta1,
      beta2,
    }),
  );
  const warnings = new Map(rates.flatMap((rate) => rate.warnings).map((warning) => [warning.code, warning]));
  const rule = rates.map((rate) => rate.learningRate.rule).find((each) => each !== 'none') ?? 'none';
  return {
    space: { batches, rates: rates.map(({ learningRate }) => learningRate.value), spread, referenceBatch: reference.batch },
    rule,
    warnings: [...warnings.values()],
  };
}
