/** The one place that keeps the contract of every command: one document, one exit code, one clear message. */
import { Command } from '@oclif/core/command';
import { boolean, string } from '@oclif/core/flags';
import type { ArgInput, FlagInput, Input, OutputArgs, OutputFlags, ParserOutput } from '@oclif/core/interfaces';
import { BatchfitError, type Warning } from '../errors.js';
import { watchInterruptions } from '../output/interruption.js';
import { assertWritable, toDocument, toJson, writeOutput } from '../output/json.js';
import { createProgress, type Progress } from '../output/progress.js';
import { printText, printWarnings, reportFailure, wantsJson } from '../output/report.js';
import { settingsAsFlags } from './input/settings.js';

export interface Answer {
  /** The command's own fields; BaseCommand adds schema, version and warnings. */
  document: Record<string, unknown>;
  /** What people read; a function where rendering costs something and --json can do without. */
  text: string | (() => string | Promise<string>);
  /** The text is for a program, so a terminal's width does not matter. */
  verbatim?: boolean;
  /** 0 unless told: 1 the answer is no, 3 something needed is not here, 4 could not tell. */
  exitCode?: 0 | 1 | 3 | 4;
  warnings?: Warning[];
}

const helpGroup = 'GLOBAL';

export abstract class BaseCommand extends Command {
  static override baseFlags = {
    json: boolean({ helpGroup, description: 'print one JSON document and nothing else' }),
    output: string({ char: 'o', helpGroup, helpValue: 'FILE', description: 'write the JSON document to a file as well' }),
    quiet: boolean({ char: 'q', helpGroup, description: 'no progress and no warnings' }),
    verbose: boolean({ char: 'v', helpGroup, description: 'say more; for a bug, where it happened' }),
    'no-color': boolean({ helpGroup, description: 'no colours; NO_COLOR does the same' }),
  };

  /** Whether the words after `--` are a program and its arguments: they are kept from the parser, in `program`. */
  static takesProgram = false;
  /** Whether --output names the JSON document; false where it names what the command makes (trace, report). */
  static outputIsDocument = true;

  protected quiet = false;
  protected verbose = false;
  /** The words after `--`, where the command takes a program. */
  protected program: string[] = [];
  private json = false;
  private documentPath: string | undefined;
  /** Where the flags are from that the command line did not give. */
  private origins: ReadonlyMap<string, string> = new Map();
  private hasAnswered = false;
  private shown: Progress | undefined;
  private interruption = new AbortController().signal;
  private stopsItself = false;

  protected abstract answer(): Promise<Answer>;

  /** Aborted by Ctrl-C or a termination signal: whoever asks for it has to stop and answer with what it has. */
  protected get interrupted(): AbortSignal {
    this.stopsItself = true;
    return this.interruption;
  }

  /** Tells people on stderr what is going on; silent under --quiet and --json. */
  protected progress(text: string): void {
    this.shown ??= createProgress({ silent: this.quiet || this.json });
    this.shown.update(text);
  }

  protected override async init(): Promise<void> {
    process.on('uncaughtException', (error) => {
      this.report(error);
      process.exit();
    });
    this.interruption = watchInterruptions(
      () => this.stopsItself,
      (reason) => this.report(reason),
    );
  }

  override async run(): Promise<void> {
    const answer = await this.answer();
    this.shown?.stop();
    const warnings = answer.warnings ?? [];
    const json = toJson(toDocument(this.id ?? 'unknown', this.config.version, answer.document, warnings));
    if (this.documentPath !== undefined) await writeOutput(this.documentPath, json, '--output');
    this.hasAnswered = true;
    if (this.json) process.stdout.write(json);
    else printText(typeof answer.text === 'string' ? answer.text : await answer.text(), answer.verbatim);
    if (!this.json && !this.quiet) printWarnings(warnings);
    process.exitCode ??= answer.exitCode ?? 0;
  }

  /** Parses the command line, with BATCHFIT_* variables and batchfit.yaml below it. */
  protected override async parse<F extends OutputFlags<FlagInput>, B extends OutputFlags<FlagInput>, A extends OutputArgs<ArgInput>>(
    options?: Input<F, B, A>,
    argv = this.argv,
  ): Promise<ParserOutput<F, B, A>> {
    // oclif warns of a command that never parses, and takes one whose words are refused for such
    this.parsed = true;
    const command = this.ctor as typeof BaseCommand;
    const end = argv.indexOf('--');
    const [own, program] = end === -1 ? [argv, []] : [argv.slice(0, end), argv.slice(end + 1)];
    this.json = wantsJson(own);
    const settings = await settingsAsFlags({
      id: this.id ?? '',
      flags: { ...command.baseFlags, ...command.flags },
      commands: this.config.commands,
      argv: own,
    });
    this.json ||= settings.has('json');
    this.origins = new Map([...settings].map(([name, { origin }]) => [name, origin]));
    this.program = command.takesProgram ? program : [];
    const rest = command.takesProgram || end === -1 ? [] : ['--', ...program];
    const parsed = await super.parse(options, [...own, ...[...settings.values()].flatMap(({ words }) => words), ...rest]);
    const { quiet, verbose, output, 'no-color': noColor } = parsed.flags as Record<string, unknown>;
    this.quiet = quiet === true;
    this.verbose = verbose === true;
    if (noColor === true) process.env.FORCE_COLOR = '0';
    if (typeof output === 'string') assertWritable(output, '--output');
    if (typeof output === 'string' && command.outputIsDocument) this.documentPath = output;
    return parsed;
  }

  protected override async catch(error: unknown): Promise<void> {
    const isAborted = this.interruption.aborted && !(error instanceof BatchfitError);
    this.report(isAborted ? this.interruption.reason : error);
  }

  private report(error: unknown): void {
    this.shown?.stop();
    const json = !this.hasAnswered && (this.json || wantsJson(this.argv));
    reportFailure(error, { json, verbose: this.verbose || this.argv.includes('-v'), origins: this.origins });
  }
}
