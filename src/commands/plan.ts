import { string as argument } from '@oclif/core/args';
import { option, string } from '@oclif/core/flags';
import { readHost } from '../machine/host.js';
import { thisSystem } from '../machine/system.js';
import { Estimator } from '../memory/estimate.js';
import { describeDevice, describeModel, describeSetup } from '../output/describe.js';
import { exportPlan } from '../output/export-plan.js';
import { EXPORT_NAMES } from '../output/exporters/index.js';
import { assertWritable, toDocument, toJson, writeOutput } from '../output/json.js';
import { renderPlan } from '../output/plan-text.js';
import { fitSpeed, foreseeSpeed } from '../plan/foreseen-speed.js';
import { readModelFacts } from '../plan/model-facts.js';
import { planTraining } from '../plan/plan.js';
import { findRemedies } from '../plan/remedies.js';
import { epochEndOf } from '../plan/schedule.js';
import type { PlanInput } from '../plan/training-plan.js';
import { type Answer, BaseCommand } from './base.js';
import { parseSetup, setupFlags, whereFlags } from './flags.js';
import { withFramework } from './input/framework.js';
import { openModel } from './input/model.js';
import { outlookOf } from './input/outlook.js';
import { measureFlags, parseRequest, requestFlags } from './input/plan-request.js';
import { measure, measureOptions } from './input/probed.js';
import { chooseRecipe } from './input/recipes.js';
import { openTarget } from './input/target.js';

export default class Plan extends BaseCommand {
  static override summary = 'Plan a training run: batch, accumulation, learning rate, warm-up and steps, with reasons';
  static override examples = [
    '<%= config.bin %> plan resnet50 --device rtx-3090 --precision amp-fp16 --optimizer momentum --dataset-size 1281167 --target-batch 1024 --reference-batch 256 --reference-lr 0.1',
    '<%= config.bin %> plan gpt2 --recipe nanogpt-124m --device a100-40gb --precision amp-bf16 --export hf-trainer > training_args.json',
    '<%= config.bin %> plan digits-cnn --dataset-size 1797 --epochs 30 --probe --save plan.json',
  ];
  static override args = {
    model: argument({ required: true, description: 'profile, spec, config.json, exported graph, timm:NAME ...' }),
  };
  static override flags = {
    ...setupFlags,
    ...whereFlags,
    ...requestFlags,
    ...measureFlags,
    save: string({ helpValue: 'plan.json', description: 'write the plan for batchfit check and report' }),
    export: option({ options: EXPORT_NAMES })({ description: 'print the settings as the configuration of a training program' }),
  };

  protected async answer(): Promise<Answer> {
    const { args, flags } = await this.parse(Plan);
    if (flags.save !== undefined) assertWritable(flags.save, '--save');
    const { setup: asked, batch, ...options } = parseSetup(flags);
    const request = parseRequest(flags, batch);
    const isHere = flags.device === undefined || /^(cuda|rocm|mps|cpu)(:|$)/i.test(flags.device);
    const [target, graph, host] = await Promise.all([
      openTarget({ device: flags.device, memory: flags.memory, reserve: flags.reserve }),
      openModel(args.model, { ...options, attention: asked.attention }, () => this.interrupted),
      isHere ? readHost(thisSystem()) : null,
    ]);
    const model = readModelFacts(graph);
    const { recipe, named, fallback, optimizer } = await chooseRecipe(flags.recipe, model, flags.optimizer);
    const clipGradNorm = asked.clipGradNorm ?? recipe?.clipGradNorm ?? null;
    const setup = withFramework({ ...asked, optimizer, clipGradNorm }, flags.framework, graph);
    const { memory, counts, traces } = outlookOf(graph, setup, target);
    const speed = { model: graph, setup, target, maxMicro: memory.single.maxBatch.best, traces };
    const input: PlanInput = {
      device: target,
      host: host && { usableCores: host.cpu.usableCores },
      model,
      optimizer,
      replicas: setup.gpus / setup.tensorParallel,
      memory,
      probed: null,
      curve: foreseeSpeed(speed),
      recipe,
      recipeNamed: named,
      fallback,
      remedies: () => findRemedies(setup, (changed) => new Estimator(graph, changed, target).largest('best')),
      request: { ...request, epochEnd: epochEndOf(flags.export ?? setup.framework) },
    };
    const draft = planTraining(input);
    const tell = (text: string) => this.progress(text);
    const measured = flags.probe ? await measure(graph, setup, target, draft, measureOptions(flags, this.interrupted, tell)) : null;
    const plan =
      measured === null
        ? draft
        : planTraining({ ...input, probed: measured.probed, curve: measured.curve && fitSpeed(speed, measured.curve) });
    const { warnings: own, ...fields } = plan;
    const warnings = [...own, ...(measured?.warnings ?? [])];
    const resolved = { ...setup, batch: plan.batch?.micro ?? setup.batch, accumulation: plan.batch?.accumulation ?? setup.accumulation };
    const document: Record<string, unknown> = {
      model: { ...describeModel(graph, counts), sequence: model.sequence },
      setup: describeSetup(graph, resolved),
      device: describeDevice(target),
      ...fields,
    };
    if (flags.save !== undefined)
      await writeOutput(flags.save, toJson(toDocument('plan', this.config.version, document, warnings)), '--save');
    const exitCode = plan.fits ? 0 : 1;
    if (flags.export === undefined || !plan.fits) return { document, exitCode, warnings, text: () => renderPlan(document) };
    const { exported, warnings: notes } = exportPlan(flags.export, plan, { setup: resolved, model, device: target });
    const told = [...warnings, ...notes];
    return { document: { ...document, export: exported }, exitCode, warnings: told, text: exported.content, verbatim: true };
  }
}
