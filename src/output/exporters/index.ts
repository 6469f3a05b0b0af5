/** Every exporter by the name that --export takes. */
import { exportAccelerate } from './accelerate.js';
import { exportAxolotl } from './axolotl.js';
import { exportDeepspeed } from './deepspeed.js';
import { exportEnv } from './env.js';
import type { Exporter } from './exporter.js';
import { exportHfTrainer } from './hf-trainer.js';
import { exportKeras } from './keras.js';
import { exportLightning } from './lightning.js';
import { exportTorchtune } from './torchtune.js';

export const EXPORTERS = {
  'hf-trainer': exportHfTrainer,
  accelerate: exportAccelerate,
  deepspeed: exportDeepspeed,
  lightning: exportLightning,
  keras: exportKeras,
  torchtune: exportTorchtune,
  axolotl: exportAxolotl,
  env: exportEnv,
} satisfies Record<string, Exporter>;

export type ExportName = keyof typeof EXPORTERS;
export const EXPORT_NAMES = Object.keys(EXPORTERS) as ExportName[];
