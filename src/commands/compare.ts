import { string as argument } from '@oclif/core/args';
import { option, string } from '@oclif/core/flags';
import { renderComparison } from '../output/compare-text.js';
import { describeModel, describeSetup } from '../output/describe.js';
import { COMPARISON_ORDERS, compareDevices, sortRows } from '../plan/comparison.js';
import { type Answer, BaseCommand } from './base.js';
import { count, parseSetup, setupFlags, whereFlags } from './flags.js';
import { openCompared, parseComparedDevices } from './input/compared-devices.js';
import { withFramework } from './input/framework.js';
import { openModel } from './input/model.js';
import { parsePrices } from './input/prices.js';

export default class Compare extends BaseCommand {
  static override summary = 'Compare devices: what fits, how fast training runs, what an epoch takes and costs';
  static override examples = [
    '<%= config.bin %> compare resnet50 --device t4,l4,a100-40gb,h100-80gb --precision amp-fp16',
    '<%= config.bin %> compare gpt2 --device t4,a10g --precision amp-fp16 --dataset-size 100000 --price t4=0.53,a10g=1.01 --sort cost',
    '<%= config.bin %> compare resnet50 --device rtx-4090,apple-m4-max=64GiB --batch 32',
  ];
  static override args = {
    model: argument({ required: true, description: 'profile, spec, config.json, exported graph, timm:NAME ...' }),
  };
  static override flags = {
    ...setupFlags,
    device: string({ required: true, helpValue: 'A,B=MEMORY', description: 'device profiles to compare, in this order' }),
    reserve: whereFlags.reserve,
    'dataset-size': count({ description: 'samples of the data set: adds time and cost per epoch' }),
    price: string({ helpValue: 'A=X,B=Y', description: 'price of one device for an hour, in any currency' }),
    sort: option({ options: COMPARISON_ORDERS })({ description: 'best first instead of the order given' }),
  };

  protected async answer(): Promise<Answer> {
    const { args, flags } = await this.parse(Compare);
    const { setup: asked, batch, ...options } = parseSetup(flags);
    const devices = parseComparedDevices(flags.device);
    const names = devices.map(({ device }) => device);
    const prices = parsePrices(flags.price, names);
    const [model, ...targets] = await Promise.all([
      openModel(args.model, { ...options, attention: asked.attention }, () => this.interrupted),
      ...devices.map((each) => openCompared(each, flags.reserve)),
    ]);
    const setup = withFramework(asked, flags.framework, model);
    const datasetSize = flags['dataset-size'] ?? null;
    const { rows, flopsPerSample, warnings, ...counts } = compareDevices({ model, setup, batch, targets, datasetSize, prices });
    const document = {
      model: describeModel(model, counts),
      setup: describeSetup(model, setup),
      datasetSize,
      flopsPerSample,
      rows: flags.sort === undefined ? rows : sortRows(rows, flags.sort),
    };
    return { document, exitCode: rows.some((row) => row.fits) ? 0 : 1, warnings, text: () => renderComparison(document) };
  }
}
