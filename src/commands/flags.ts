/** Flags that several commands share: the Setup flags, the Where flags, and number flags that refuse what is not a number. */

import { boolean, custom, option, string } from '@oclif/core/flags';
import type { OutputFlags } from '@oclif/core/interfaces';
import { UsageError } from '../errors.js';
import {
  ATTENTIONS,
  CHECKPOINTINGS,
  DEFAULT_SETUP,
  FRAMEWORKS,
  METHODS,
  OPTIMIZER_IMPLEMENTATIONS,
  OPTIMIZERS,
  PRECISIONS,
  type Setup,
  SHARDINGS,
  ZERO_GRAD_POSITIONS,
  ZERO_GRADS,
} from '../setup.js';
import { parseCount, parseImage, parseList, parsePositive } from './input/values.js';

export const HEADS = [
  'causal-lm',
  'masked-lm',
  'sequence-classification',
  'token-classification',
  'seq2seq-lm',
  'image-classification',
] as const;

/** A flag that takes a whole number; `min` is its least value, 1 unless told. */
export const count = custom<number, { min?: number }>({
  parse: async (input, _context, self) => parseCount(input, `--${self.name}`, self.min),
  helpValue: 'N',
});

/** A flag that takes a number above 0. */
export const positive = custom<number>({
  parse: async (input, _context, self) => parsePositive(input, `--${self.name}`),
  helpValue: 'X',
});

const helpGroup = 'SETUP';
const standard = (key: keyof Setup) => `[default: ${DEFAULT_SETUP[key]}]`;

/** Every flag that describes the training setup. Their defaults are DEFAULT_SETUP's, so a command sees what the user chose. */
export const setupFlags = {
  batch: string({ helpGroup, helpValue: 'N|auto', description: 'micro batch, or the largest that fits [default: auto]' }),
  image: string({ helpGroup, helpValue: 'N|HxW', description: "image size in pixels [default: the model's]" }),
  seq: count({ helpGroup, description: "sequence length in tokens [default: the model's]" }),
  classes: count({ helpGroup, description: "classes that the head tells apart [default: the model's]" }),
  head: option({ options: HEADS })({
    helpGroup,
    description: "head of a Hugging Face model [default: what its config's architectures says]",
  }),
  precision: option({ options: PRECISIONS })({ helpGroup, description: `number format of the training step ${standard('precision')}` }),
  optimizer: option({ options: OPTIMIZERS })({ helpGroup, description: `optimizer ${standard('optimizer')}` }),
  'optimizer-impl': option({ options: OPTIMIZER_IMPLEMENTATIONS })({
    helpGroup,
    description: `how the optimizer loops over parameters ${standard('optimizerImplementation')}`,
  }),
  checkpointing: option({ options: CHECKPOINTINGS })({ helpGroup, description: `activation checkpointing ${standard('checkpointing')}` }),
  attention: option({ options: ATTENTIONS })({ helpGroup, description: `attention kernel ${standard('attention')}` }),
  method: option({ options: METHODS })({ helpGroup, description: `which parameters are trained ${standard('method')}` }),
  'lora-rank': count({ helpGroup, description: `rank of LoRA adapters ${standard('loraRank')}` }),
  'lora-targets': string({
    helpGroup,
    helpValue: 'a,b',
    description: 'modules that get LoRA adapters [default: what the adapter library picks]',
  }),
  'zero-grad': option({ options: ZERO_GRADS })({ helpGroup, description: `what zero_grad leaves behind ${standard('zeroGrad')}` }),
  'zero-grad-position': option({ options: ZERO_GRAD_POSITIONS })({
    helpGroup,
    description: `where the loop calls zero_grad ${standard('zeroGradPosition')}`,
  }),
  gpus: count({ helpGroup, description: `devices that train together ${standard('gpus')}` }),
  sharding: option({ options: SHARDINGS })({ helpGroup, description: `how they share the model's states ${standard('sharding')}` }),
  'tensor-parallel': count({ helpGroup, description: `devices that split each layer ${standard('tensorParallel')}` }),
  accumulation: count({ helpGroup, description: `micro batches added up before an optimizer step ${standard('accumulation')}` }),
  'clip-grad-norm': positive({ helpGroup, description: 'largest gradient norm [default: not clipped]' }),
  'keep-outputs': boolean({ helpGroup, description: "the loop holds the model's outputs until the next forward returns" }),
  'channels-last': boolean({ helpGroup, description: 'images and filters lie with the channel innermost (torch.channels_last)' }),
  ema: boolean({ helpGroup, description: 'keep a moving average of the weights beside them' }),
  generic: boolean({ helpGroup, description: 'bound operators that have no memory rule instead of refusing them' }),
  framework: option({ options: FRAMEWORKS })({
    helpGroup,
    description: `framework that trains ${standard('framework').replace(']', '; of Keras and TensorFlow.js models tensorflow]')}`,
  }),
};

/** Where the training runs: a device profile's name or this machine, its memory, and the head-room kept free. */
export const whereFlags = {
  device: string({
    helpGroup: 'WHERE',
    helpValue: 'NAME',
    description: "device profile, such as rtx-3090 or cpu [default: this machine's]",
  }),
  memory: string({ helpGroup: 'WHERE', helpValue: '24GiB', description: "memory of the device [default: the device's own]" }),
  reserve: string({ helpGroup: 'WHERE', helpValue: '5%', description: 'head-room: memory kept free, as a share or a size [default: 0%]' }),
};

export interface ParsedSetup {
  /** `setup.batch` is 1 where `batch` is "auto". */
  setup: Setup;
  batch: number | 'auto';
  /** Height and width in pixels. */
  image?: [number, number];
  seq?: number;
  classes?: number;
  head?: string;
}

/** Throws where a flag of adapters is given and the method has none: the estimate would quietly be that of full training. */
function refuseIdleAdapters(flags: OutputFlags<typeof setupFlags>): void {
  const given = (['lora-rank', 'lora-targets'] as const).find((name) => flags[name] !== undefined);
  if (given === undefined || flags.method === 'lora' || flags.method === 'qlora') return;
  const method = flags.method ?? DEFAULT_SETUP.method;
  throw new UsageError(
    'IDLE_FLAG',
    `--${given}: --method ${method} has no adapters`,
    `add --method lora or qlora, or leave --${given} out`,
  );
}

/** The setup that the flags describe. Throws UsageError naming the flag, what was found and what was expected. */
export function parseSetup(flags: OutputFlags<typeof setupFlags>): ParsedSetup {
  const batch = flags.batch === undefined || flags.batch === 'auto' ? 'auto' : parseCount(flags.batch, '--batch');
  const gpus = flags.gpus ?? DEFAULT_SETUP.gpus;
  const tensorParallel = flags['tensor-parallel'] ?? DEFAULT_SETUP.tensorParallel;
  if (gpus % tensorParallel !== 0) {
    throw new UsageError(
      'BAD_TENSOR_PARALLEL',
      `--tensor-parallel: expected a divisor of --gpus ${gpus}, found ${tensorParallel}`,
      `each group of ${tensorParallel} devices holds one model: set --gpus to a multiple of ${tensorParallel}`,
    );
  }
  refuseIdleAdapters(flags);
  const setup: Setup = {
    batch: batch === 'auto' ? DEFAULT_SETUP.batch : batch,
    precision: flags.precision ?? DEFAULT_SETUP.precision,
    optimizer: flags.optimizer ?? DEFAULT_SETUP.optimizer,
    optimizerImplementation: flags['optimizer-impl'] ?? DEFAULT_SETUP.optimizerImplementation,
    checkpointing: flags.checkpointing ?? DEFAULT_SETUP.checkpointing,
    attention: flags.attention ?? DEFAULT_SETUP.attention,
    method: flags.method ?? DEFAULT_SETUP.method,
    loraRank: flags['lora-rank'] ?? DEFAULT_SETUP.loraRank,
    loraTargets: flags['lora-targets'] === undefined ? DEFAULT_SETUP.loraTargets : parseList(flags['lora-targets'], '--lora-targets'),
    zeroGrad: flags['zero-grad'] ?? DEFAULT_SETUP.zeroGrad,
    zeroGradPosition: flags['zero-grad-position'] ?? DEFAULT_SETUP.zeroGradPosition,
    gpus,
    sharding: flags.sharding ?? DEFAULT_SETUP.sharding,
    tensorParallel,
    accumulation: flags.accumulation ?? DEFAULT_SETUP.accumulation,
    clipGradNorm: flags['clip-grad-norm'] ?? DEFAULT_SETUP.clipGradNorm,
    keepOutputs: flags['keep-outputs'] ?? DEFAULT_SETUP.keepOutputs,
    channelsLast: flags['channels-last'] ?? DEFAULT_SETUP.channelsLast,
    ema: flags.ema ?? DEFAULT_SETUP.ema,
    generic: flags.generic ?? DEFAULT_SETUP.generic,
    framework: flags.framework ?? DEFAULT_SETUP.framework,
  };
  return {
    setup,
    batch,
    ...(flags.image === undefined ? {} : { image: parseImage(flags.image, '--image') }),
    ...(flags.seq === undefined ? {} : { seq: flags.seq }),
    ...(flags.classes === undefined ? {} : { classes: flags.classes }),
    ...(flags.head === undefined ? {} : { head: flags.head }),
  };
}
