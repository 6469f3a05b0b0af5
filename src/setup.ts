/** A training setup: everything beside the model and the device that decides memory and speed. */

export const PRECISIONS = ['fp32', 'tf32', 'amp-fp16', 'amp-bf16', 'bf16', 'fp16'] as const;
export const OPTIMIZERS = [
  'sgd',
  'momentum',
  'nesterov',
  'adam',
  'adamw',
  'adamw-8bit',
  'adagrad',
  'rmsprop',
  'adafactor',
  'lion',
  'lamb',
  'lars',
  'muon',
] as const;
export const OPTIMIZER_IMPLEMENTATIONS = ['default', 'foreach', 'fused', 'single'] as const;
export const CHECKPOINTINGS = ['none', 'full', 'selective'] as const;
export const ATTENTIONS = ['auto', 'math', 'efficient', 'flash'] as const;
export const METHODS = ['full', 'lora', 'qlora', 'frozen-backbone'] as const;
export const ZERO_GRADS = ['to-none', 'to-zero'] as const;
export const ZERO_GRAD_POSITIONS = ['before-forward', 'before-backward', 'after-step'] as const;
export const SHARDINGS = ['ddp', 'zero1', 'zero2', 'zero3', 'fsdp'] as const;
export const FRAMEWORKS = ['torch', 'tensorflow'] as const;

export type Precision = (typeof PRECISIONS)[number];
export type Optimizer = (typeof OPTIMIZERS)[number];
export type OptimizerImplementation = (typeof OPTIMIZER_IMPLEMENTATIONS)[number];
export type Checkpointing = (typeof CHECKPOINTINGS)[number];
export type Attention = (typeof ATTENTIONS)[number];
export type Method = (typeof METHODS)[number];
export type ZeroGrad = (typeof ZERO_GRADS)[number];
export type ZeroGradPosition = (typeof ZERO_GRAD_POSITIONS)[number];
export type Sharding = (typeof SHARDINGS)[number];
export type Framework = (typeof FRAMEWORKS)[number];

export interface Setup {
  /** Micro batch: samples in one forward pass on one device. */
  batch: number;
  precision: Precision;
  optimizer: Optimizer;
  optimizerImplementation: OptimizerImplementation;
  checkpointing: Checkpointing;
  attention: Attention;
  method: Method;
  loraRank: number;
  loraTargets: string[];
  zeroGrad: ZeroGrad;
  zeroGradPosition: ZeroGradPosition;
  gpus: number;
  sharding: Sharding;
  tensorParallel: number;
  accumulation: number;
  /** Maximum gradient norm, null when gradients are not clipped. */
  clipGradNorm: number | null;
  /** The loop holds the model's outputs until the next forward returns. */
  keepOutputs: boolean;
  /** Weights and inputs of four dimensions lie with the channel innermost (torch.channels_last). */
  channelsLast: boolean;
  /** An exponential moving average of the weights and buffers is kept beside them. */
  ema: boolean;
  /** Operators without a rule are bounded instead of refused. */
  generic: boolean;
  framework: Framework;
}

export const DEFAULT_SETUP: Setup = {
  batch: 1,
  precision: 'fp32',
  optimizer: 'adamw',
  optimizerImplementation: 'default',
  checkpointing: 'none',
  attention: 'auto',
  method: 'full',
  loraRank: 8,
  loraTargets: [],
  zeroGrad: 'to-none',
  zeroGradPosition: 'before-forward',
  gpus: 1,
  sharding: 'ddp',
  tensorParallel: 1,
  accumulation: 1,
  clipGradNorm: null,
  keepOutputs: false,
  channelsLast: false,
  ema: false,
  generic: false,
  framework: 'torch',
};
