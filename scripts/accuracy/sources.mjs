/** The published measurements that can be replayed. */
import { detectionRows } from './sources/detection.mjs';
import { generatedRows } from './sources/generated.mjs';
import { languageRows } from './sources/language.mjs';
import { opRows } from './sources/op.mjs';
import { segmentationRows } from './sources/segmentation.mjs';
import { a100Rows, rtx3090Rows } from './sources/timm.mjs';
import { xmemRows } from './sources/xmem.mjs';

export const SOURCES = [
  { name: 'op', rows: opRows },
  { name: 'xmem_nvml', rows: xmemRows },
  { name: 'gpumemnet_timm_a100', rows: a100Rows },
  { name: 'timm_train_rtx3090', rows: rtx3090Rows },
  { name: 'gpumemnet_generated_cnn', rows: generatedRows },
  { name: 'language models', rows: languageRows },
  { name: 'detection', rows: detectionRows },
  { name: 'mmsegmentation', rows: segmentationRows },
];
