import { expect, it } from 'vitest';
import { batchfit, batchfitJson } from './run.js';

const names = (document: { profiles: { name: string }[] }) => document.profiles.map(({ name }) => name);

it('profiles models shows one by its name, and what else holds the name', async () => {
  const { document } = await batchfitJson(['profiles', 'models', 'resnet50']);
  expect(document.profile).toMatchObject({ name: 'resnet50', parameters: 25557032 });
  expect(names(document)[0]).toBe('resnet50');
  expect(names(document)).toContain('timm:resnet50');
  const { stdout } = await batchfit(['profiles', 'models', 'timm:resnet50']);
  expect(stdout).toContain('25,557,032');
  expect(stdout).toMatch(/timm \d/);
});

it('profiles models searches by a part of the name, and lists all without one', async () => {
  const found = await batchfitJson(['profiles', 'models', 'VIT_base_patch16']);
  expect(names(found.document)).toEqual(expect.arrayContaining(['vit_base_patch16_224', 'timm:vit_base_patch16_224']));
  const graph = found.document.profiles.find(({ name }: { name: string }) => name === 'timm:vit_base_patch16_224');
  expect(graph).toMatchObject({ parameters: 86567656, input: '3x224x224' });
  const all = names((await batchfitJson(['profiles', 'models'])).document);
  expect(all).toEqual(expect.arrayContaining(['gpt2', 'timm:resnet50', 'torchvision:alexnet']));
});

it('estimate takes a shipped graph by its name, and says which image size it has', async () => {
  const { document } = await batchfitJson(['estimate', 'timm:resnet50', '--batch', '8', '--image', '160', '--device', 't4']);
  expect(document).toMatchObject({ model: { name: 'resnet50', parameters: 25557032 }, setup: { image: [160, 160] } });
  const refused = await batchfitJson(['estimate', 'timm:vit_base_patch16_224', '--batch', '8', '--image', '384', '--device', 't4']);
  expect(refused).toMatchObject({ exitCode: 2, document: { error: { hint: expect.stringContaining('224x224') } } });
});

it('a name without a graph ends in 2 with the nearest', async () => {
  const { document, exitCode } = await batchfitJson(['profiles', 'models', 'timm:resnet5O']);
  expect(exitCode).toBe(2);
  expect(document.error).toMatchObject({ code: 'UNKNOWN_MODEL', hint: expect.stringContaining('timm:resnet50') });
});
