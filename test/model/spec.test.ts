import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { ModelGraph } from '../../src/model/graph.js';
import type { ModelOptions } from '../../src/model/options.js';
import { readSpec } from '../../src/model/readers/spec/read.js';
import { LAYERS } from '../../src/model/readers/spec/run.js';
import { checkGraph } from '../../src/model/validate.js';
import { parameterCount } from './reference.js';

async function read(text: string, options: ModelOptions = {}): Promise<ModelGraph> {
  const graph = await readSpec(parse(text), { format: 'spec', reference: 'net.yaml' }, options);
  checkGraph(graph, 'net.yaml');
  return graph;
}

/** A small image model with these layers (YAML, one a line). */
const image = (layers: string, rest = '') => `
name: net
input: { image: [3, 32, 32] }
classes: 10
${rest}
layers:
${layers
  .trim()
  .split('\n')
  .map((line) => `  ${line}`)
  .join('\n')}
`;
const operators = (graph: ModelGraph): string[] => graph.nodes.map(({ op }) => op.slice('aten.'.length));

describe('a spec', () => {
  it('keeps the image size a symbol as long as no weight depends on it', async () => {
    const graph = await read(image('- conv: { out: 8, kernel: 3, padding: 1 }\n- globalpool\n- linear: classes'), { image: [64, 48] });
    expect(graph.symbols).toEqual({ H: { default: 64 }, W: { default: 48 } });
    expect(parameterCount(graph)).toBe(8 * 27 + 8 + 80 + 10);
  });

  it('fixes the image size where a weight depends on it', async () => {
    const text = image('- conv: { out: 8, kernel: 3, padding: 1 }\n- flatten\n- linear: classes');
    expect((await read(text)).parameters.at(-2)).toEqual({ name: 'linear1.weight', shape: [10, 8192] });
    const graph = await read(text, { image: [16, 16], classes: 4 });
    expect(graph.symbols).toEqual({});
    expect(graph.inputs[0]?.shape).toEqual(['B', 3, 16, 16]);
    expect(graph.parameters.at(-2)?.shape).toEqual([4, 2048]);
    expect(graph.inputs[1]).toEqual({ name: 'labels', shape: ['B'], dtype: 'int64', role: 'target', high: 4 });
  });

  it('names modules by kind and number, repeats and residuals within the module around them', async () => {
    const text = image(
      '- repeat: { times: 2, of: [{ block: 4 }] }\n- globalpool\n- linear: classes',
      'blocks: { block: { args: { width }, checkpoint: true, layers: [{ residual: { body: [{ conv: { out: width, kernel: 1 } }], shortcut: [{ conv: { out: width, kernel: 1 } }] } }, relu] } }',
    );
    const graph = await read(text);
    expect(graph.parameters.map(({ name }) => name)).toEqual([
      'block1.residual1.conv1.weight',
      'block1.residual1.conv1.bias',
      'block1.residual1.shortcut.conv1.weight',
      'block1.residual1.shortcut.conv1.bias',
      'block2.residual1.conv1.weight',
      'block2.residual1.conv1.bias',
      'linear1.weight',
      'linear1.bias',
    ]);
    expect(graph.checkpoints).toEqual(['block1', 'block2']);
  });

  it('reads expressions over arguments, channels and classes', async () => {
    const blocks =
      'blocks: { wide: { args: { factor, squeeze: in//2 }, layers: [{ conv: { out: factor*in+squeeze, kernel: 1, groups: 1 } }] } }';
    const graph = await read(image('- conv: { out: 8, kernel: 1 }\n- wide: 3\n- globalpool\n- linear: 2*classes', blocks));
    expect(graph.parameters.map(({ shape }) => shape[0])).toEqual([8, 8, 28, 28, 20, 20]);
  });

  it('takes tokens, and limits the length where positions are learned', async () => {
    const text = `
name: language
input: { tokens: { vocabulary: 100, length: 32, longest: 64 } }
blocks:
  block:
    layers:
      - residual: [layernorm, { attention: { heads: 2, causal: true } }]
      - residual: [layernorm, { mlp: 4*in }]
layers:
  - embedding: 16
  - positions
  - repeat: { times: 2, of: [block] }
  - layernorm
  - linear: vocabulary
`;
    const graph = await read(text, { seq: 48 });
    expect(graph.symbols).toEqual({ S: { default: 48, max: 64 } });
    expect(graph.inputs.map(({ shape, high }) => [shape, high])).toEqual([
      [['B', 'S'], 100],
      [['B', 'S'], 100],
    ]);
    expect(operators(graph).slice(-3)).toEqual(['view', 'view', 'cross_entropy_loss']);
    await expect(read(text, { seq: 65 })).rejects.toThrow('--seq: the sequence length of language is from 1 to 64, found 65');
  });

  it('takes features, branches and a regression', async () => {
    const graph = await read(`
name: regression
input: { features: 6 }
loss: mse
layers:
  - branches: { of: [[{ linear: 4 }], [{ linear: 4 }, tanh]], join: concat }
  - branches: { of: [[{ linear: 8 }], []], join: multiply }
  - linear: 1
`);
    expect(operators(graph)).toEqual(['linear', 'linear', 'tanh', 'cat', 'linear', 'mul.Tensor', 'linear', 'mse_loss']);
    expect(graph.inputs.at(-1)).toEqual({ name: 'target', shape: ['B', 1], dtype: 'model', role: 'target' });
  });

  it('gives activations in place, stochastic depth and pools their operators', async () => {
    const graph = await read(
      image(`
- conv: { out: 8, kernel: 3, stride: 2, bias: false }
- groupnorm: 4
- relu6: { inplace: true }
- leakyrelu: 0.2
- hardswish
- gelu: tanh
- se: { channels: 2, gate: hardsigmoid }
- droppath: 0.1
- droppath: 0
- maxpool: { kernel: 3, stride: 2, padding: 1 }
- avgpool: 2
- upsample: 2
- reshape: [8, -1]
- mean: 2
- dropout: 0.5
- linear: classes`),
    );
    expect(operators(graph)).toEqual([
      'conv2d',
      'group_norm',
      'hardtanh_',
      'leaky_relu',
      'hardswish',
      'gelu',
      'mean.dim',
      'conv2d',
      'relu_',
      'conv2d',
      'hardsigmoid',
      'mul.Tensor',
      'new_empty',
      'bernoulli_.float',
      'div_.Scalar',
      'mul.Tensor',
      'max_pool2d',
      'avg_pool2d',
      'upsample_nearest2d.vec',
      'reshape',
      'mean.dim',
      'dropout',
      'linear',
      'cross_entropy_loss',
    ]);
  });
});

describe('a wrong spec is refused with the place', () => {
  it.each([
    [image('- conv: { out: 8, kernel: three }'), 'layers[0].conv.kernel: expression "three": expected a number'],
    [
      image('- conv: { out: 8, kernel: [3, 3, 3] }'),
      'layers[0].conv.kernel: expected a whole number from 1, or a pair of them [height, width], found [3,3,3]',
    ],
    [image('- conv: { out: 0, kernel: 3 }'), 'layers[0].conv.out: expected a whole number from 1, or an expression, found 0'],
    [image('- conv: { out: 8 }'), 'layers[0].conv.kernel: missing, expected a whole number'],
    [image('- conv: { out: 8, kernel: 3, pading: 1 }'), 'layers[0].conv: unknown field "pading"'],
    [image('- conv: { out: 8, kernel: 3, groups: 2 }'), 'layers[0].conv: groups: 2 divides not both the 3 input and the 8 output channels'],
    [image('- relu\n- batchnrom'), 'layers[1]: there is no layer or block "batchnrom"'],
    [image('- dropout: 2'), 'layers[0].dropout.p: expected a number from 0 to 1, found 2'],
    [image('- relu: { inplace: maybe }'), 'layers[0].relu.inplace: expected true or false, found "maybe"'],
    [image('- relu: 3'), 'layers[0].relu: expected fields (inplace), found 3'],
    [image('- { conv: 3, relu: 4 }'), 'layers[0]: expected a layer: its name, or one name with fields'],
    [image('- linear: 3'), 'layers[0].linear: expected [B, features], found the image [B, 3, H, W]'],
    [image('- repeat: { times: 2, of: [{ conv: { out: 8, kernel: x } }] }'), 'layers[0].repeat.of[0].conv.kernel: expression "x"'],
    [
      image('- residual: [{ conv: { out: 8, kernel: 3 } }]'),
      'layers[0].residual: the body gives [B, 8, H-2, W-2], the shortcut [B, 3, H, W]',
    ],
    [
      image('- globalpool\n- conv: { out: 8, kernel: 3 }'),
      'layers[1].conv: expected an image [B, channels, height, width], found the shape [B, 3]',
    ],
    [image('- block: 3', 'blocks: { block: { layers: [relu] } }'), 'layers[0].block: expected fields (none), found 3'],
    [image('- block', 'blocks: { block: { args: { width }, layers: [relu] } }'), 'layers[0].block.width: missing'],
    [image('- block', 'blocks: { block: { layers: [{ conv: { out: 8, kernel: 0 } }] } }'), 'blocks.block.layers[0].conv.kernel: expected'],
    [image('- relu', 'blocks: { conv: { layers: [relu] } }'), 'blocks.conv: "conv" is a layer already'],
    [image('- relu', 'defaults: { relu: { inplce: true } }'), 'defaults.relu: unknown field "inplce"'],
    [image('- relu', 'lass: 3'), 'lass: unknown field'],
    [image('- embedding: 8'), 'layers[0].embedding: expected token ids'],
    [image('- relu').replace('image: [3, 32, 32]', 'image: [3, 32]'), 'input: image: expected three whole numbers'],
    [image('- relu').replace('image: [3, 32, 32]', 'video: 3'), 'input: unknown field "video"'],
    ['name: net\ninput: { features: 3 }', 'layers: missing, expected a list of layers'],
    ['input: { features: 3 }\nlayers: [relu]', 'name: missing, expected text'],
    ['name: net\nlayers: [relu]\nconfig: { model_type: gpt2 }', 'a spec has layers or a config, not both'],
    [
      'name: net\ninput: { features: 3 }\nlayers: [{ reshape: [2, 2] }]',
      "layers[0].reshape: shape: the 3 elements of a sample don't fit [2,2]",
    ],
    [image('- conv: { out: 8, kernel: 40 }'), 'layers[0].conv: nothing is left: the result has the shape [1, 8, -7, -7]'],
  ])('%#', async (text, message) => {
    await expect(read(text)).rejects.toMatchObject({
      code: expect.stringMatching(/^BAD_/),
      exitCode: 2,
      message: expect.stringContaining(message),
    });
  });
});

it.each([
  [{ seq: 12 }, '--seq: the input is no sequence of tokens'],
  [{ head: 'masked-lm' }, '--head: net has its own head'],
])('%o is refused for an image model', async (options, message) => {
  await expect(read(image('- globalpool\n- linear: classes'), options)).rejects.toMatchObject({
    code: 'BAD_MODEL_OPTION',
    message: expect.stringContaining(message),
  });
});

describe('docs/spec.md', () => {
  const text = readFileSync(new URL('../../docs/spec.md', import.meta.url), 'utf8');

  it('has an example that is one', async () => {
    const example = /```yaml\n([\s\S]*?)```/.exec(text)?.[1] ?? '';
    expect(parameterCount(await read(example))).toBe(parse(example).parameters);
  });

  it('lists every layer with its fields', () => {
    const rows = [...text.matchAll(/^\| (`.*?) \| (.*) \|$/gm)];
    const documented = new Map(
      rows.flatMap(([, names = '', fields = '']) => [...names.matchAll(/`(\w+)`/g)].map((name) => [name[1] as string, fields] as const)),
    );
    expect([...documented.keys()].sort()).toEqual(Object.keys(LAYERS).sort());
    for (const [name, layer] of Object.entries(LAYERS)) {
      for (const field of Object.keys(layer.fields)) expect(`${name}: ${documented.get(name)}`).toContain(field);
    }
  });
});
