/**
 * The scaling rules as closed forms. kappa = new batch / reference batch throughout; a rule knows nothing of models,
 * recipes or where it stops holding (learning-rate.ts does).
 */

/** Linear rule: eta' = kappa * eta. Goyal et al. 2017 (arXiv 1706.02677), for SGD with or without momentum. */
export const linear = (kappa: number): number => kappa;

/** Square-root rule: eta' = sqrt(kappa) * eta. Malladi et al. 2022 (arXiv 2205.10287), for Adam and RMSprop. */
export const squareRoot = (kappa: number): number => Math.sqrt(kappa);

export interface AdamSettings {
  learningRate: number;
  beta1: number;
  beta2: number;
  eps: number;
}

/**
 * The SDE rule for Adam, Malladi et al. 2022 (arXiv 2205.10287): eta sqrt(kappa), 1 - beta times kappa, eps / sqrt(kappa).
 * Null where a beta would leave (0, 1): it holds only for kappa < 1 / (1 - beta1).
 */
export function adamSde({ learningRate, beta1, beta2, eps }: AdamSettings, kappa: number): AdamSettings | null {
  const scaled = {
    learningRate: learningRate * Math.sqrt(kappa),
    beta1: 1 - kappa * (1 - beta1),
    beta2: 1 - kappa * (1 - beta2),
    eps: eps / Math.sqrt(kappa),
  };
  const rounding = 1e-12;
  return scaled.beta1 > rounding && scaled.beta2 > rounding ? scaled : null;
}

/** beta2' = beta2^kappa keeps the half-life of the second moment in samples or tokens. Marek et al. 2025 (arXiv 2507.07101). */
export const betaOfConstantHalfLife = (beta: number, kappa: number): number => beta ** kappa;

/** Samples (or tokens) until a moment with decay `beta` forgets half: B ln(1/2) / ln(beta). Marek et al. 2025. */
export const halfLife = (beta: number, batch: number): number => (batch * Math.log(0.5)) / Math.log(beta);

/** LEGW, LAMB and LARS: the rate grows with sqrt(kappa), the warm-up epochs with kappa (You et al., arXiv 1904.00962). */
export const legw = (kappa: number): { learningRate: number; warmupEpochs: number } => ({
  learningRate: Math.sqrt(kappa),
  warmupEpochs: kappa,
});

/** LAMB on ResNet-50 and ImageNet, 90 epochs: 0.04 sqrt(B/32768) and 20 B/32768 epochs reproduce its published rows. */
export const lambResnet50 = (batch: number): { learningRate: number; warmupEpochs: number } => ({
  learningRate: 0.04 * Math.sqrt(batch / 32768),
  warmupEpochs: (20 * batch) / 32768,
});

/**
 * AdaScale gain in [1, kappa] for the SGD family: (var + sqr) / (var / kappa + sqr), where var / sqr is the noise scale
 * over the reference batch. The rate is multiplied by it (by its square root for Adam). AdaptDL's adascale.
 */
export const adaScaleGain = (kappa: number, variance: number, squaredNorm: number): number =>
  (variance + squaredNorm) / (variance / kappa + squaredNorm);

/** Best SGD rate at a batch over its limit for a huge one: 1 / (1 + noise / B). McCandlish et al. 2018 (arXiv 1812.06162). */
export const sgdFactor = (batchOverNoise: number): number => 1 / (1 + 1 / batchOverNoise);

/**
 * Best Adam rate over its peak at the noise scale: it rises below and falls above ("surge"), the same at r and 1/r.
 * Li et al. 2024 (arXiv 2405.14578).
 */
export const surgeFactor = (batchOverNoise: number): number => 2 / (Math.sqrt(1 / batchOverNoise) + Math.sqrt(batchOverNoise));

/** Noise of SGD with momentum m: g = eps (N/B - 1) / (1 - m). Smith and Le 2017 (arXiv 1710.06451). */
export const sgdNoise = (learningRate: number, datasetSize: number, batch: number, momentum: number): number =>
  (learningRate * (datasetSize / batch - 1)) / (1 - momentum);

/** Learning rate that keeps eps / (1 - m), the heavy ball's effective rate, when momentum changes (arXiv 1711.00489). */
export const rateForMomentum = (learningRate: number, from: number, to: number): number => (learningRate * (1 - to)) / (1 - from);

/**
 * Weight decay of a decoupled optimizer that keeps B / (eta lambda D) on the same data. Power Lines (arXiv 2505.13738);
 * with the square-root rule it is lambda sqrt(kappa), which is what nanochat does.
 */
export const weightDecayOfConstantTimescale = (weightDecay: number, kappa: number, rateRatio: number): number =>
  (weightDecay * kappa) / rateRatio;

/** Steps and examples to a target loss over their minima: (S/Smin - 1)(E/Emin - 1) = 1. McCandlish et al. 2018. */
export const tradeoff = (batchOverCritical: number): { steps: number; samples: number } => ({
  steps: 1 + 1 / batchOverCritical,
  samples: 1 + batchOverCritical,
});
