import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ModelGraph } from '../../src/model/graph.js';
import { listModelProfiles, readModel } from '../../src/model/open.js';

let folder: string;
const graph: ModelGraph = {
  format: 'batchfit-graph@1',
  name: 'tiny',
  source: { format: 'torch-export', reference: 'tiny.py:model' },
  symbols: { H: { default: 8, max: 64, multipleOf: 4 }, W: { default: 8 } },
  parameters: [
    { name: 'fc.weight', shape: [10, 3] },
    { name: 'fc.bias', shape: [10] },
  ],
  buffers: [],
  inputs: [
    { name: 'image', shape: ['B', 3, 'H', 'W'], dtype: 'model', role: 'data' },
    { name: 'labels', shape: ['B'], dtype: 'int64', role: 'target', high: 10 },
  ],
  nodes: [
    { op: 'aten.mean.dim', args: ['%image', [2, 3]], outputs: ['mean'], module: 'pool' },
    { op: 'aten.linear', args: ['%mean', '%fc.weight', '%fc.bias'], outputs: ['logits'], module: 'fc' },
    { op: 'aten.cross_entropy_loss', args: ['%logits', '%labels'], outputs: ['loss'], module: '' },
  ],
  loss: 'loss',
  outputs: ['logits'],
  checkpoints: [],
};

function file(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'batchfit-open-'));
});

describe('readModel refuses', () => {
  const cases: [name: string, make: () => string, code: string, message: RegExp | string][] = [
    ['a name that nothing has', () => 'resnet5O', 'UNKNOWN_MODEL', 'there is no profile and no file "resnet5O"'],
    ['a path that is not there', () => './nowhere/config.json', 'UNKNOWN_MODEL', 'there is no profile and no file'],
    ['an empty file', () => file('empty.yaml', ''), 'BAD_MODEL', 'empty.yaml: the file is empty'],
    ['binary content', () => file('binary.json', Buffer.from([1, 0, 2, 255, 254])), 'BAD_MODEL', 'binary content, expected JSON text'],
    ['a folder without a config', () => folder, 'BAD_MODEL', 'the folder has no config.json'],
    ['broken JSON', () => file('broken.json', '{"model_type": '), 'BAD_MODEL', 'not JSON'],
    ['YAML in thousands of brackets', () => file('deep.yaml', '['.repeat(3000)), 'BAD_MODEL', 'deep.yaml: nested too deeply'],
    [
      'more layers than anyone can train',
      () => file('endless.json', JSON.stringify({ model_type: 'gpt2', n_layer: 100_000_000, n_embd: 12 })),
      'BAD_MODEL',
      'endless.json: gpt2 has more than 400,000 calls of operators',
    ],
    ['broken YAML', () => file('broken.yaml', 'name: [a, b'), 'BAD_MODEL', 'not YAML'],
    [
      'a list where fields should be',
      () => file('list.yaml', '- conv'),
      'BAD_MODEL',
      'expected a mapping of fields at the top, found a list',
    ],
    ['JSON that is no model', () => file('other.json', '{"a": 1}'), 'BAD_MODEL', 'neither "model_type"'],
    ['weights', () => file('model.safetensors', 'x'), 'UNSUPPORTED_MODEL', 'is a file of weights'],
    ['another extension', () => file('model.txt', 'x'), 'UNSUPPORTED_MODEL', 'is a .txt file'],
    ['a gzip file that is none', () => file('model.graph.json.gz', 'x'), 'BAD_MODEL', 'not a gzip file'],
  ];
  it.each(cases)('%s', async (_, make, code, message) => {
    await expect(readModel(make())).rejects.toMatchObject({ code, exitCode: 2, message: expect.stringMatching(message) });
  });

  it('a PyTorch file, which has to be exported first', async () => {
    await expect(readModel('net.py:build')).rejects.toMatchObject({
      code: 'NEEDS_EXPORT',
      exitCode: 3,
      hint: expect.stringContaining('batchfit trace net.py:build'),
    });
  });

  it('a mistyped profile with the nearest names', async () => {
    await expect(readModel('resnet-50')).rejects.toMatchObject({ hint: expect.stringContaining('resnet50') });
  });
});

describe('an exported graph', () => {
  const read = (document: unknown, options = {}) => readModel(file('tiny.graph.json', JSON.stringify(document)), options);

  it('is read as it is, compressed or not', async () => {
    expect(await read(graph)).toEqual(graph);
    expect(await readModel(file('tiny2.graph.json.gz', gzipSync(JSON.stringify(graph))))).toEqual(graph);
  });

  it('takes an image size within its limits', async () => {
    const adapted = await read(graph, { image: [16, 20] });
    expect([adapted.symbols.H?.default, adapted.symbols.W?.default]).toEqual([16, 20]);
    await expect(read(graph, { image: [18, 20] })).rejects.toThrow(
      '--image: the image height of tiny is from 1 to 64, a multiple of 4, found 18',
    );
    await expect(read(graph, { seq: 20 })).rejects.toThrow('--seq: tiny has no sequence length that can be changed');
  });

  it('takes another number of classes', async () => {
    const adapted = await read(graph, { classes: 7 });
    expect(adapted.parameters.map(({ shape }) => shape)).toEqual([[7, 3], [7]]);
    expect(adapted.inputs[1]?.high).toBe(7);
    const loss = { ...graph.nodes[2], op: 'aten.mse_loss' };
    await expect(read({ ...graph, nodes: [...graph.nodes.slice(0, 2), loss] }, { classes: 7 })).rejects.toThrow(
      'its loss is not a cross entropy',
    );
  });

  it.each([
    [{ format: 'batchfit-graph@9' }, 'format'],
    [{ parameters: [{ name: 'fc.weight', shape: [10, -1] }] }, 'parameters[0].shape[1]'],
    [{ loss: 'nothing' }, 'loss: "nothing" is no node\'s output'],
    [{ outputs: ['nothing'] }, 'outputs: there is no value "nothing"'],
    [{ checkpoints: ['block.0'] }, 'no node is in the module "block.0"'],
    [{ symbols: {} }, 'uses H, which "symbols" lacks'],
    [{ nodes: [{ op: 'aten.relu', args: ['%later'], outputs: ['loss'], module: '' }] }, 'nodes[0] (aten.relu): "%later" is no parameter'],
    [
      { nodes: [...graph.nodes, { op: 'aten.relu', args: ['%loss'], outputs: ['mean'], module: '' }] },
      'nodes[3] (aten.relu): the name "mean" is taken',
    ],
    [{ nodes: [{ op: 'aten.relu', args: ['=B*'], outputs: ['loss'], module: '' }] }, 'size "B*": expected a number'],
    [{ extra: 1 }, 'extra'],
  ])('with %o is refused: %s', async (change, message) => {
    await expect(read({ ...graph, ...change })).rejects.toMatchObject({ message: expect.stringContaining(message), exitCode: 2 });
  });
});

describe('a folder', () => {
  it('with a config.json is that model', async () => {
    const path = join(folder, 'checkpoint');
    mkdirSync(path);
    writeFileSync(join(path, 'config.json'), JSON.stringify({ model_type: 'gpt2', n_layer: 1, n_embd: 48, n_head: 4, vocab_size: 99 }));
    const model = await readModel(path);
    expect(model.source).toEqual({ format: 'hf-config', reference: join(path, 'config.json') });
  });
});

it('the profiles are listed by name', async () => {
  const names = (await listModelProfiles()).map(({ name }) => name);
  expect(names).toEqual([...names].sort());
  expect(names).toContain('digits-cnn');
});
