import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { listModelProfiles, readModel } from '../../src/model/open.js';
import { readHuggingFaceConfig } from '../../src/model/readers/hf/read.js';
import { parameterCount } from './reference.js';

interface Published {
  name: string;
  model_type: string;
  architecture: string;
  config: Record<string, unknown>;
  parameters: number;
}

/** Counted by the real classes (transformers 5.23) with published.py. */
const published: Published[] = JSON.parse(readFileSync(new URL('./fixtures/published.json', import.meta.url), 'utf8'));

describe('parameter counts', () => {
  it.each(published)('$name', async ({ model_type, architecture, config, parameters }) => {
    const document = { ...config, model_type, architectures: [architecture] };
    const graph = await readHuggingFaceConfig(document, { format: 'hf-config', reference: 'config.json' }, {});
    expect(parameterCount(graph)).toBe(parameters);
  });

  it('are checked at two sizes of each of the 21 families', () => {
    const sizes = new Map<string, number>();
    for (const { model_type } of published) sizes.set(model_type, (sizes.get(model_type) ?? 0) + 1);
    expect(sizes.size).toBe(21);
    expect(Math.min(...sizes.values())).toBe(2);
  });

  /** The libraries' own figures. */
  it.each([
    ['resnet50', 25557032],
    ['resnet18', 11689512],
    ['vgg16', 138357544],
    ['mobilenet_v2', 3504872],
    ['efficientnet_b0', 5288548],
    ['convnext_tiny', 28589128],
    ['vit_base_patch16_224', 86567656],
    ['bert-base', 109514298],
    ['gpt2', 124439808],
    ['llama-3.2-1b', 1235814400],
  ])('the profile %s has %i', async (name, parameters) => {
    expect(parameterCount(await readModel(name))).toBe(parameters);
  });

  it('every profile has those that it says', async () => {
    const profiles = await listModelProfiles();
    expect(profiles.length).toBeGreaterThanOrEqual(12);
    for (const { name, parameters, about } of profiles) {
      expect(about).not.toBe('');
      expect([name, parameterCount(await readModel(name))]).toEqual([name, parameters]);
    }
  });

  it('BERT has 109482240 below its head', async () => {
    const graph = await readModel('bert-base', { head: 'sequence-classification', classes: 2 });
    const backbone = graph.parameters.filter(({ name }) => name.startsWith('bert.'));
    expect(backbone.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)).toBe(109482240);
  });
});
