import { string as argument } from '@oclif/core/args';
import { option, string } from '@oclif/core/flags';
import { UsageError } from '../errors.js';
import { CHECK_FORMATS, renderChecks } from '../output/check-text.js';
import { readPlan } from '../output/saved-plan.js';
import { exitCodeOf } from '../plan/check/fact.js';
import { planChecks, planFacts } from '../plan/check/plan-checks.js';
import { judge, parseRequirement } from '../plan/check/requirement.js';
import { type Answer, BaseCommand } from './base.js';
import { whereFlags } from './flags.js';
import { engineFacts, fitOfPlan, readFacts } from './input/facts.js';

export default class Check extends BaseCommand {
  static override summary = 'Check a machine against a saved plan or against requirements, for scripts and CI';
  static override description =
    `A requirement is a fact, an operator (>= <= > < == !=) and a value; a fact alone asks for it to be true. "warn:" in front makes it a warning.
Facts: gpu.count gpu.memory gpu.free gpu.name gpu.kind gpu.computeCapability gpu.driver cpu.cores host.memory host.available engine.torch engine.tfjs; with a plan also fits throughput memory.needed memory.usable batch.micro batch.accumulation batch.effective.
Exits with 0 when all pass, 1 when one does not, 3 when something needed is not here, 4 when something cannot be read.`;
  static override examples = [
    '<%= config.bin %> check plan.json',
    '<%= config.bin %> check --require "gpu.count>=1" --require "gpu.memory>=24GiB"',
    '<%= config.bin %> check plan.json --require fits --require "warn: throughput>=100" --format github',
  ];
  static override args = { plan: argument({ description: 'a plan that batchfit plan --save wrote' }) };
  static override flags = {
    ...whereFlags,
    plan: string({ helpValue: 'plan.json', description: 'the same as the argument' }),
    require: string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'EXPR',
      description: 'a requirement, such as "gpu.memory>=24GiB"; may be given more than once',
    }),
    format: option({ options: CHECK_FORMATS })({ default: 'text', description: 'how the checks are printed' }),
  };

  protected async answer(): Promise<Answer> {
    const { args, flags } = await this.parse(Check);
    const requirements = (flags.require ?? []).map(parseRequirement);
    const path = flags.plan ?? args.plan;
    if (path === undefined && requirements.length === 0) {
      throw new UsageError(
        'NOTHING_TO_CHECK',
        'check: expected a plan or a --require',
        'batchfit check plan.json, or batchfit check --require "gpu.count>=1"',
      );
    }
    const plan = path === undefined ? null : await readPlan(path);
    const where = { device: flags.device, memory: flags.memory, reserve: flags.reserve };
    const facts = {
      ...(await readFacts(where)),
      ...(requirements.some(({ fact }) => fact.startsWith('engine.')) ? await engineFacts() : {}),
    };
    const fit = plan === null ? null : await fitOfPlan(plan, where, () => this.interrupted);
    const all = plan === null || fit === null ? facts : { ...facts, ...planFacts(plan, fit) };
    const checks = [
      ...(plan === null || fit === null ? [] : planChecks(plan, all, fit)),
      ...requirements.map((requirement) => judge(requirement, all)),
    ];
    const exitCode = exitCodeOf(checks);
    const passed = exitCode === 0;
    return { document: { passed, checks }, exitCode, text: renderChecks(checks, passed, flags.format), verbatim: flags.format !== 'text' };
  }
}
