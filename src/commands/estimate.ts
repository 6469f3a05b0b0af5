import { string as argument } from '@oclif/core/args';
import { boolean, string } from '@oclif/core/flags';
import { Estimator } from '../memory/estimate.js';
import { estimateLayers } from '../memory/layers.js';
import { describeDevice, describeModel, describeSetup } from '../output/describe.js';
import { renderEstimate } from '../output/estimate-text.js';
import { type Answer, BaseCommand } from './base.js';
import { parseSetup, setupFlags, whereFlags } from './flags.js';
import { withFramework } from './input/framework.js';
import { openModel } from './input/model.js';
import { openTarget } from './input/target.js';
import { parseCount, parseList } from './input/values.js';

export default class Estimate extends BaseCommand {
  static override summary = 'Estimate the memory of training a model, and the largest batch that fits';
  static override examples = [
    '<%= config.bin %> estimate resnet50 --batch 64 --device rtx-3090 --precision amp-fp16',
    '<%= config.bin %> estimate ./config.json --seq 2048 --batch auto --device a100-80gb',
    '<%= config.bin %> estimate model.yaml --sweep 1,2,4,8 --layers --json',
  ];
  static override args = {
    model: argument({ required: true, description: 'profile, spec, config.json, exported graph, timm:NAME ...' }),
  };
  static override flags = {
    ...setupFlags,
    ...whereFlags,
    layers: boolean({ description: 'add the table of layers: parameters and what each keeps for backward' }),
    sweep: string({ helpValue: '1,2,4', description: 'estimate these batches too' }),
  };

  protected async answer(): Promise<Answer> {
    const { args, flags } = await this.parse(Estimate);
    const { setup: asked, batch, ...options } = parseSetup(flags);
    const sweep = flags.sweep === undefined ? [] : parseList(flags.sweep, '--sweep').map((each) => parseCount(each, '--sweep'));
    const [target, model] = await Promise.all([
      openTarget({ device: flags.device, memory: flags.memory, reserve: flags.reserve }),
      openModel(args.model, { ...options, attention: asked.attention }, () => this.interrupted),
    ]);
    const setup = withFramework(asked, flags.framework, model);
    const estimator = new Estimator(model, setup, target);
    const chosen = batch === 'auto' ? Math.max(estimator.largest('best'), 1) : batch;
    const { memory, fits, maxBatch, parameters, trainableParameters } = estimator.estimate(chosen);
    const resolved = { ...setup, batch: chosen };
    const document = {
      model: describeModel(model, { parameters, trainableParameters }),
      setup: describeSetup(model, resolved),
      memory,
      device: describeDevice(target),
      fits,
      maxBatch,
      ...(flags.layers ? { layers: estimateLayers(estimator.trace(chosen)) } : {}),
      ...(sweep.length > 0
        ? { sweep: sweep.map((each) => ({ batch: each, fits: estimator.fits(each, 'best'), memory: estimator.memory(each) })) }
        : {}),
    };
    return { document, exitCode: fits ? 0 : 1, text: () => renderEstimate(document), warnings: estimator.assumptions };
  }
}
