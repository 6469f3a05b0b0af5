import { writeFile } from 'node:fs/promises';
import { Args } from '@oclif/core';
import { UsageError } from '../errors.js';
import { planReport } from '../output/html/plan-report.js';
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
    await writeFile(path, html).catch((error: NodeJS.ErrnoException) => {
      throw new UsageError('BAD_OUTPUT', `--output: ${path} cannot be written (${error.code})`, 'name a file in a folder that is there');
    });
    const title = `${plan.model.name} on ${plan.device.name}`;
    return { document: { plan: args.plan, path, title, bytes: Buffer.byteLength(html) }, text: `${path}: ${title}` };
  }
}
