import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { Estimator } from '../../src/memory/estimate.js';
import type { ModelGraph } from '../../src/model/graph.js';
import { readModel } from '../../src/model/open.js';
import { checkGraph } from '../../src/model/validate.js';
import { DEFAULT_SETUP } from '../../src/setup.js';
import { parameterCount } from './reference.js';

const FIXTURES = fileURLToPath(new URL('./fixtures/keras/', import.meta.url));
const cases: Record<string, { version: string; parameters: number; trainable: number }> = JSON.parse(
  readFileSync(join(FIXTURES, 'cases.json'), 'utf8'),
);
const TARGET = { name: 'cpu', kind: 'cpu', count: 1, totalBytes: 2 ** 36, usableBytes: 2 ** 36, computeCapability: null } as any;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'batchfit-keras-'));
});

function save(name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, Buffer.isBuffer(content) ? content : JSON.stringify(content));
  return path;
}

const document = (name: string) => JSON.parse(gunzipSync(readFileSync(join(FIXTURES, `${name}.json.gz`))).toString('utf8'));
const trained = (graph: ModelGraph) =>
  parameterCount({ ...graph, parameters: graph.parameters.filter((each) => each.trainable !== false) });
const inputs = (graph: ModelGraph) => graph.inputs.map(({ name, shape }) => [name, shape]);

describe('has as many weights as Keras counts', () => {
  it.each(Object.entries(cases))('%s', async (name, { parameters, trainable }) => {
    const open = name.startsWith('MobileNetV3');
    const graph = await readModel(join(FIXTURES, `${name}.json.gz`), open ? { image: [224, 224] } : {});
    checkGraph(graph, name);
    expect({ parameters: parameterCount(graph), trainable: trained(graph) }).toEqual({ parameters, trainable });
  });
});

describe('the training step', () => {
  it.each(['images', 'sequences', 'branches', 'images-2', 'sequences-2', 'branches-2', 'MobileNetV2'])(
    'of %s has a rule for each operator',
    async (name) => {
      const estimator = new Estimator(
        await readModel(join(FIXTURES, `${name}.json.gz`)),
        { ...DEFAULT_SETUP, framework: 'tensorflow' },
        TARGET,
      );
      const [one, nine] = [estimator.memory(1).peak.tensorBytes, estimator.memory(9).peak.tensorBytes];
      expect(one).toBeGreaterThan(4 * 4 * (cases[name] as { trainable: number }).trainable);
      expect(nine).toBeGreaterThan(one);
    },
  );

  it('keeps the probabilities, while the loss takes the logits', async () => {
    const graph = await readModel(join(FIXTURES, 'images.json.gz'));
    const [logits, output, loss] = graph.nodes.slice(-3);
    expect([logits?.op, output?.op, loss?.op]).toEqual(['aten.linear', 'aten.softmax.int', 'aten.cross_entropy_loss']);
    expect(loss?.args[0]).toBe(`%${logits?.outputs[0]}`);
    expect(graph.outputs).toEqual(output?.outputs);
    expect(graph.assumptions).toEqual([expect.objectContaining({ code: 'ASSUMED_LOSS' })]);
  });

  it('pads with the window where both sides alike give as many outputs, and before it where not', async () => {
    const { nodes } = await readModel(join(FIXTURES, 'images.json.gz'));
    const convolutions = nodes.filter(({ op }) => op === 'aten.conv2d').map(({ args }) => args.slice(3));
    expect(convolutions.slice(0, 2)).toEqual([
      [
        [2, 2],
        [1, 1],
      ],
      [],
    ]);
    expect(nodes.filter(({ op }) => op === 'aten.pad').map(({ args }) => args[1])).toContainEqual([0, 1, 1, 2]);
  });
});

describe('a .keras file', () => {
  it('is its config.json, with the loss of compile()', async () => {
    const graph = await readModel(join(FIXTURES, 'branches.keras'));
    expect(parameterCount(graph)).toBe(cases.branches?.parameters);
    expect(graph.source).toMatchObject({ format: 'keras', versions: ['keras 3.15.1'] });
    expect(graph.assumptions).toBeUndefined();
    expect(graph.nodes.map(({ op }) => op).filter((op) => op.includes('loss'))).toEqual(['aten.cross_entropy_loss', 'aten.mse_loss']);
    expect(inputs(graph)).toEqual([
      ['image', ['B', 16, 16, 3]],
      ['other', ['B', 8]],
      ['labels_1', ['B']],
      ['target_2', ['B', 2]],
    ]);
  });

  it.each([
    ['text', Buffer.from('no archive at all'), 'not a .keras file: it is no ZIP archive'],
    ['a truncated archive', readFileSync(join(FIXTURES, 'branches.keras')).subarray(0, 900), 'it is no ZIP archive, or was cut short'],
  ])('that is %s is refused', async (_, bytes, message) => {
    await expect(readModel(save('broken.keras', bytes))).rejects.toMatchObject({
      code: 'BAD_MODEL',
      exitCode: 2,
      message: expect.stringContaining(message),
    });
  });
});

describe('a TensorFlow.js model.json', () => {
  const layers = () => ({
    format: 'layers-model',
    generatedBy: 'keras v2.21.0',
    convertedBy: 'TensorFlow.js Converter v4.22.0',
    modelTopology: { keras_version: '2.21.0', backend: 'tensorflow', model_config: document('sequences-2') },
    weightsManifest: [
      { paths: ['group1-shard1of1.bin'], weights: [{ name: 'embedding/embeddings', shape: [1000, 16], dtype: 'float32' }] },
    ],
  });

  it('of layers is a Keras model', async () => {
    const graph = await readModel(save('model.json', layers()), { seq: 30 });
    expect(graph.source).toMatchObject({ format: 'tfjs', versions: ['keras 2.21.0'] });
    expect(parameterCount(graph)).toBe(cases.sequences?.parameters);
    expect(inputs(graph)[0]).toEqual(['ids', ['B', 30]]);
  });

  it.each([
    [
      'a graph model',
      { ...layers(), format: 'graph-model', modelTopology: { node: [] } },
      'UNSUPPORTED_MODEL',
      'a TensorFlow.js graph model',
    ],
    ['a topology without a model', { modelTopology: { keras_version: '2' } }, 'BAD_MODEL', 'modelTopology: expected a Keras model'],
  ])('that is %s is refused', async (_, content, code, message) => {
    await expect(readModel(save('model.json', content))).rejects.toMatchObject({
      code,
      exitCode: 2,
      message: expect.stringContaining(message),
    });
  });
});

describe('sizes', () => {
  it("are the caller's where the file leaves them open or says one", async () => {
    const graph = await readModel(join(FIXTURES, 'MobileNetV2.json.gz'), { image: [96, 128] });
    expect(inputs(graph)[0]).toEqual(['input_layer', ['B', 96, 128, 3]]);
    expect(graph.symbols).toEqual({ H: { default: 96, min: 96, max: 96 }, W: { default: 128, min: 128, max: 128 } });
  });

  it('and a number of classes', async () => {
    const graph = await readModel(join(FIXTURES, 'MobileNetV2.json.gz'), { classes: 10 });
    expect(parameterCount(graph)).toBe((cases.MobileNetV2 as { parameters: number }).parameters - 990 * 1281);
  });

  it.each([
    ['MobileNetV3Small', {}, 'its height and width are open: the shape is [batch, any, any, 3]', '--image'],
    ['MobileNetV2', { seq: 3 }, '--seq: mobilenetv2_1.00_224 has no input of sequences', 'leave --seq out'],
    ['sequences', { image: [8, 8] }, '--image: sequences has no input of images', 'leave --image out'],
    ['VGG16', { head: 'causal-lm' }, '--head: vgg16 has its own head', 'config.json'],
  ])('%s with %o is refused', async (name, options, message, hint) => {
    const refusal = { exitCode: 2, message: expect.stringContaining(message), hint: expect.stringContaining(hint) };
    await expect(readModel(join(FIXTURES, `${name}.json.gz`), options as any)).rejects.toMatchObject(refusal);
  });
});

describe('what is not read', () => {
  const model = (change: (layers: any[]) => void) => {
    const copy = document('images');
    change(copy.config.layers);
    return save('changed.json', copy);
  };
  const layer = (className: string, config = {}) => ({ class_name: className, config: { name: 'mine', ...config } });

  it.each([
    [
      'a layer of code',
      (layers: any[]) => layers.splice(3, 0, layer('Lambda')),
      'UNSUPPORTED_MODEL',
      'config.layers[3] (Lambda "mine"): the layer Lambda is not',
    ],
    [
      'a custom layer',
      (layers: any[]) => layers.push({ ...layer('Mine'), registered_name: 'pkg>Mine' }),
      'UNSUPPORTED_MODEL',
      'pkg>Mine is somebody',
    ],
    [
      'an activation',
      (layers: any[]) => layers.push(layer('Activation', { activation: 'sine' })),
      'UNSUPPORTED_MODEL',
      'activation "sine"',
    ],
    [
      'a field of another kind',
      (layers: any[]) => layers.push(layer('Dense', { units: 'ten' })),
      'BAD_MODEL',
      'units: expected a whole number from 1, found "ten"',
    ],
    ['a missing field', (layers: any[]) => layers.push(layer('Dense')), 'BAD_MODEL', 'units: missing'],
    [
      'another rank',
      (layers: any[]) => layers.push(layer('Conv2D', { filters: 3, kernel_size: [3, 3] })),
      'BAD_MODEL',
      'expected 4 dimensions',
    ],
    [
      'an image that is used up',
      (layers: any[]) => layers.splice(2, 0, layer('MaxPooling2D', { pool_size: 20 })),
      'BAD_MODEL',
      'nothing is left of the input',
    ],
    [
      'a recurrent layer that is not fused',
      (layers: any[]) => layers.splice(2, 30, layer('LSTM', { units: 3, recurrent_dropout: 0.1 })),
      'BAD_MODEL',
      'expected 3 dimensions',
    ],
  ])('%s', async (_, change, code, message) => {
    await expect(readModel(model(change))).rejects.toMatchObject({ code, exitCode: 2, message: expect.stringContaining(message) });
  });

  it('a model without the shape of its input', async () => {
    const bare = { class_name: 'Sequential', config: { name: 'bare', layers: [layer('Dense', { units: 3 })] } };
    await expect(readModel(save('bare.json', bare))).rejects.toMatchObject({
      message: expect.stringContaining('it was never built'),
      hint: expect.stringContaining('keras.Input'),
    });
  });

  it('a subclassed model', async () => {
    const file = save('subclass.json', { class_name: 'MyModel', config: {} });
    await expect(readModel(file)).rejects.toMatchObject({ code: 'UNSUPPORTED_MODEL', message: expect.stringContaining('found "MyModel"') });
  });

  it('a package.json', async () => {
    const file = save('package.json', { name: 'left-pad', version: '1.0.0', dependencies: {} });
    await expect(readModel(file)).rejects.toMatchObject({
      code: 'BAD_MODEL',
      message: expect.stringContaining('"class_name" (a Keras model)'),
    });
  });
});
