import { Args } from '@oclif/core';
import { planReport } from '../output/html/plan-report.js';
import { writeOutput } from '../output/json.js';
import { readPlan } from '../output/saved-plan.js';
import { type Answer, BaseCommand } from './base.js';

export default class Report extends BaseCommand {
  static override summary = 'Write a saved plan as one self-contained page with tables and plots';
  static override examples = ['<%= config.bin %> report plan.json -o plan.html'];
  static override args = { plan: Args.string({ required: true, description: 'what batchfit plan --save wrote' }) };
  static override outputIsDocument = false;

  protected async answer(): Promise<Answer> {
    const { args, flags } = await this.parse(Report);
    const path = (flags as { output?: string }).output ?? `${args.plan.replace(/\.json$/, '')}.html`;
    const plan = await readPlan(args.plan);
    const html = planReport(plan);
    await writeOutput(path, html, '--output');
    const title = `${plan.model.name} on ${plan.device.name}`;
    return { document: { plan: args.plan, path, title, bytes: Buffer.byteLength(html) }, text: `${path}: ${title}` };
  }
}
