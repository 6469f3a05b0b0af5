/**
 * detectron2's MODEL_ZOO and MMDetection's tables: two images of 800x1333 on each of eight V100, frozen first stages;
 * max_memory_allocated. The graphs are made by detectors.py (--graphs), which says what differs from those models.
 */
import { GIB, lines } from '../read.mjs';

const KINDS = { 'faster-rcnn': 'faster_rcnn', 'mask-rcnn': 'mask_rcnn', 'keypoint-rcnn': 'keypoint_rcnn', retinanet: 'retinanet' };
/** What a row's name says of the body, in a graph's. */
const BODIES = { R_50: 'r50', R_101: 'r101', X_101_32x8d: 'x101-32x8d' };
/** Both loops of that time leave zeros in the gradients before backward, and PyTorch's SGD went weight by weight. */
const SETUP = { optimizer: 'momentum', optimizerImplementation: 'single', zeroGrad: 'to-zero', zeroGradPosition: 'before-backward' };

export function detectionRows(truth) {
  const rows = [
    ...lines(truth, 'detectron2.jsonl.gz').map((row) => ({ row, reference: ofDetectron2(row), group: 'detectron2' })),
    ...lines(truth, 'mmdetection_v3.jsonl.gz').map((row) => ({ row, reference: ofMmdetection(row), group: 'MMDetection' })),
  ];
  return rows.flatMap(({ row, reference, group }) => {
    if (!reference) return [];
    return [
      {
        id: `${group} ${row.model}`,
        group,
        model: { reference },
        setup: { ...SETUP, batch: row.batch_per_gpu, gpus: row.n_gpus ?? 8 },
        device: 'v100-32gb',
        // PyTorch of 2019 to 2021.
        stack: { release: [1, 5] },
        counter: 'allocatedBytes',
        actual: row.peak_mem_gb * GIB,
      },
    ];
  });
}

function ofDetectron2({ model, batch_per_gpu, model_ref: config }) {
  const [, kind, body] = /^(\w+?_?rcnn|retinanet)_(R_50|R_101|X_101_32x8d)_FPN(_noaug)?_\dx$/.exec(model) ?? [];
  const name = Object.keys(KINDS).find((each) => KINDS[each] === kind);
  // Rows of that name on other data (LVIS, Cityscapes) have other heads.
  const plain = /^configs\/(COCO|Detectron1)-/.test(config);
  return name && plain && batch_per_gpu === 2 ? `detectron2:detectron2_${name}_${BODIES[body]}` : null;
}

function ofMmdetection({ model, batch_per_gpu, input, precision }) {
  const scales = /^(RandomResize|RandomChoiceResize|Resize)\.scales?=.*\(1333, 800\)/.test(input ?? '');
  const found = /^(faster-rcnn|mask-rcnn|retinanet)_(r50|r101|x101-\d+x\d+d)(-caffe)?_fpn_(?:ms|mstrain)?(?:-poly)?[-_]?\dx_coco$/.exec(
    model,
  );
  if (!found || !scales || batch_per_gpu !== 2 || precision !== 'fp32') return null;
  const [, kind, body, caffe] = found;
  return `mmdet:mmdet${caffe ?? ''}_${kind}_${body}`;
}
