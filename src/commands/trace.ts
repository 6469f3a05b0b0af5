import { Args } from '@oclif/core';
import { option } from '@oclif/core/flags';
import { UsageError } from '../errors.js';
import { assertWritable, writeOutput } from '../output/json.js';
import { exportModel, isCode } from '../probe/engines/torch/exporter.js';
import { type Answer, BaseCommand } from './base.js';
import { count, HEADS, setupFlags } from './flags.js';
import { parseImage } from './input/values.js';

export default class Trace extends BaseCommand {
  static override summary = 'Export a real PyTorch module as a graph, without a GPU and without weights';
  static override examples = [
    '<%= config.bin %> trace model.py:make -o model.graph.json',
    '<%= config.bin %> trace timm:resnet50 -o resnet50.graph.json',
  ];
  static override args = {
    model: Args.string({ required: true, description: 'file.py:function, timm:NAME, torchvision:NAME or hf:PATH' }),
  };
  static override flags = {
    image: setupFlags.image,
    seq: count({ description: "sequence length in tokens [default: the model's]" }),
    classes: count({ description: "classes that the head tells apart [default: the model's]" }),
    head: option({ options: HEADS })({ description: "head of a Hugging Face model [default: what its config's architectures says]" }),
  };
  static override outputIsDocument = false;

  protected async answer(): Promise<Answer> {
    const { args, flags } = await this.parse(Trace);
    const { image, output, ...options } = flags;
    if (!isCode(args.model)) {
      throw new UsageError(
        'BAD_MODEL',
        `"${args.model}" is not PyTorch code`,
        'write file.py:function, timm:NAME, torchvision:NAME or hf:PATH',
      );
    }
    const path = output ?? `${args.model.replace(/^.*[:/]/, '')}.graph.json`;
    assertWritable(path, '--output');
    this.progress(`exporting ${args.model}`);
    const size = image === undefined ? {} : { image: parseImage(image, '--image') };
    const { seq, classes, head } = options;
    const graph = await exportModel(args.model, { ...size, seq, classes, head }, this.interrupted);
    await writeOutput(path, `${JSON.stringify(graph)}\n`, '--output');
    const parameters = graph.parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    const document = {
      path,
      name: graph.name,
      source: graph.source,
      symbols: graph.symbols,
      parameters,
      nodes: graph.nodes.length,
      operators: new Set(graph.nodes.map(({ op }) => op)).size,
      checkpoints: graph.checkpoints,
    };
    const free = ['batch', ...Object.keys(graph.symbols)].join(', ');
    const text = `${path}: ${graph.name}, ${parameters.toLocaleString('en')} parameters, ${document.nodes} calls of ${document.operators} operators; free: ${free}`;
    return { document, text };
  }
}
