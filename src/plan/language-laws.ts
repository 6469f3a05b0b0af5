/**
 * Published power laws for language-model pre-training. They disagree by factors of three to five, so batchfit uses them
 * only as a cross-check range and never as a recommendation. Batches are in tokens.
 */

export interface LawAnswer {
  law: string;
  learningRate: number | null;
  /** Tokens per update. */
  batchTokens: number | null;
  /** Of a decoupled optimizer at the plan's own rate and batch. */
  weightDecay: number | null;
  /** The model and data lie in the range that the law was fitted on; null where that range is not published. */
  inDomain: boolean | null;
  source: string;
}

/** A pre-training run: parameters, tokens seen, compute (6 N D FLOPs unless known better), and the plan's rate and batch. */
export interface PretrainingRun {
  parameters: number;
  tokens: number;
  flops: number;
  learningRate: number;
  batchTokens: number;
}

/** DeepSeek LLM (arXiv 2401.02954): 0.3118 C^-0.1250 and 0.2920 C^0.3271; fitted on 1e17 to 2e19 FLOPs, checked at 1e20. */
export const deepseekLaw = (flops: number) => ({ learningRate: 0.3118 * flops ** -0.125, batchTokens: 0.292 * flops ** 0.3271 });

/** Step Law (arXiv 2503.04715): 1.79 N^-0.713 D^0.307 and 0.58 D^0.571; 59M to 1B non-vocabulary parameters, AdamW. */
export const stepLaw = (parameters: number, tokens: number) => ({
  learningRate: 1.79 * parameters ** -0.713 * tokens ** 0.307,
  batchTokens: 0.58 * tokens ** 0.571,
});

/** Moonlight (arXiv 2502.16982), the AdamW baseline: 0.0127 C^-0.057 and 0.0065 C^0.4138. */
export const moonlightLaw = (flops: number) => ({ learningRate: 0.0127 * flops ** -0.057, batchTokens: 0.0065 * flops ** 0.4138 });

/** Schaipp 2026: batch 0.667 D^0.566 tokens; any batch within a factor 4 costs at most 5 %. */
export const schaippBatch = (tokens: number): number => 0.667 * tokens ** 0.566;

/** Kaplan et al. 2020 (arXiv 2001.08361): critical batch B* / L^(1/0.21) tokens at a loss of L nats, B* about 2e8. */
export const kaplanCriticalBatch = (loss: number, constant = 2e8): number => constant / loss ** (1 / 0.21);

/** Kaplan et al. 2020: learning rate by model size, 0.003239 - 0.0001395 ln N. */
export const kaplanLearningRate = (parameters: number): number => 0.003239 - 0.0001395 * Math.log(parameters);

/** Power Lines (arXiv 2505.13738): best AdamW timescale by tokens per parameter, 1.084 TPP^-0.527. */
export const powerLinesTimescale = (tokensPerParameter: number): number => 1.084 * tokensPerParameter ** -0.527;

/** The weight decay of that timescale: lambda = B / (tau eta D), B and D in tokens. */
export const powerLinesWeightDecay = (batchTokens: number, learningRate: number, parameters: number, tokens: number): number =>
  batchTokens / (powerLinesTimescale(tokens / parameters) * learningRate * tokens);

/** nanochat's batch: 2^round(log2(B_ref (D / D_ref)^0.383)), tokens; its reference is 524288 at about 1.623e9 tokens. */
export const nanochatBatch = (tokens: number, referenceTokens = 12 * 135_267_456, referenceBatch = 524_288): number =>
  2 ** Math.round(Math.log2(referenceBatch * (tokens / referenceTokens) ** 0.383));

/** LLaMA-Factory's cal_lr: 3e-4 sqrt(trained tokens per step / 4e6), a sixth of it for Mistral and Gemma. */
export const llamaFactoryRate = (tokensPerStep: number, sensitive = false): number =>
  (3e-4 * Math.sqrt(tokensPerStep / 4e6)) / (sensitive ? 6 : 1);

/** What each law says for one run, with whether the run lies where the law was fitted. */
export function crossCheck({ parameters, tokens, flops, learningRate, batchTokens }: PretrainingRun): LawAnswer[] {
  const nothing = { learningRate: null, batchTokens: null, weightDecay: null, inDomain: null };
  const decay = powerLinesWeightDecay(batchTokens, learningRate, parameters, tokens);
  return [
    { law: 'DeepSeek', ...nothing, ...deepseekLaw(flops), inDomain: flops >= 1e17 && flops <= 1e20, source: 'arXiv 2401.02954' },
    {
      law: 'Step Law',
      ...nothing,
      ...stepLaw(parameters, tokens),
      inDomain: parameters >= 59e6 && parameters <= 1e9,
      source: 'arXiv 2503.04715',
    },
    { law: 'Moonlight', ...nothing, ...moonlightLaw(flops), source: 'arXiv 2502.16982' },
    { law: 'Schaipp', ...nothing, batchTokens: schaippBatch(tokens), source: 'Schaipp 2026' },
    { law: 'nanochat', ...nothing, batchTokens: nanochatBatch(tokens), source: 'karpathy/nanochat' },
    { law: 'Kaplan', ...nothing, learningRate: kaplanLearningRate(parameters), source: 'arXiv 2001.08361' },
    {
      law: 'Power Lines',
      ...nothing,
      weightDecay: decay,
      inDomain: parameters >= 111e6 && parameters <= 3.3e9,
      source: 'arXiv 2505.13738',
    },
  ];
}
