import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { resolveTarget } from '../../src/machine/target.js';
import { Estimator } from '../../src/memory/estimate.js';
import { adaptGraph } from '../../src/model/adapt.js';
import { parseGraph } from '../../src/model/validate.js';
import { DEFAULT_SETUP } from '../../src/setup.js';

/**
 * Live storages of a real training step: torchvision 0.29.2 with torch 2.15.0 on the CPU, under a TorchDispatchMode that
 * sums them (each rounded to 512 B), second step, SGD with momentum, gradients dropped after the step; 7 objects an image.
 * The matcher was made to find half of the boxes positive, so that samplers take all that they may, and each level of the
 * pyramid to get an equal share of the boxes.
 */
const STEPS = [
  { model: 'fasterrcnn_resnet50_fpn', image: [320, 480], parameters: 41_755_286, tensorBytes: 737_507_840, within: 0.001 },
  { model: 'maskrcnn_resnet50_fpn', image: [256, 320], parameters: 44_401_393, tensorBytes: 1_412_009_472, within: 0.001 },
  { model: 'fcos_resnet50_fpn', image: [256, 320], parameters: 32_269_600, tensorBytes: 446_604_288, within: 0.001 },
  // Its losses go image by image, which a graph with any number of images can't say.
  { model: 'retinanet_resnet50_fpn', image: [256, 320], parameters: 34_014_999, tensorBytes: 519_197_184, within: 0.01 },
] as const;

describe('detection with fixed choices', () => {
  it.each(STEPS)('takes what the real $model takes', { timeout: 60_000 }, async ({ model, image, parameters, tensorBytes, within }) => {
    const file = new URL(`fixtures/${model}.graph.json.gz`, import.meta.url);
    const graph = adaptGraph(await parseGraph(JSON.parse(gunzipSync(readFileSync(file)).toString()), model), { image: [...image] });
    const batch = 2;
    const setup = { ...DEFAULT_SETUP, batch, optimizer: 'momentum', zeroGradPosition: 'after-step' } as const;
    const estimator = new Estimator(graph, setup, await resolveTarget({ device: 'cpu' }));
    expect(estimator.trace(batch).parameters).toBe(parameters);
    const { peak, source } = estimator.memory(batch);
    expect(Math.abs(peak.tensorBytes / tensorBytes - 1)).toBeLessThan(within);
    // Without heads of their own for boxes, what is chosen hardly shows.
    const chooses = model.includes('rcnn');
    expect(estimator.assumptions.map(({ code }) => code)).toEqual(chooses ? ['ASSUMED_CHOICES'] : []);
    expect(source).toBe(chooses ? 'assumed' : 'estimated');
  });
});
