/** What stands below the command line: BATCHFIT_* variables, then batchfit.yaml in the working directory. */
import { readFile } from 'node:fs/promises';
import { UsageError } from '../../errors.js';
import { nearestNames } from '../../nearest.js';

/** What this needs to know of a flag; oclif's manifest and its classes both have it. */
export interface FlagShape {
  type: 'boolean' | 'option';
  char?: string | undefined;
  allowNo?: boolean | undefined;
  multiple?: boolean | undefined;
}
type Flags = Record<string, FlagShape>;

export interface SettingsContext {
  /** The running command's name and flags. */
  id: string;
  flags: Flags;
  /** Every command's, because a setting at the file's top level may be meant for another command. */
  commands: ReadonlyArray<{ id: string; flags: Flags }>;
  argv: string[];
}

interface Setting {
  value: unknown;
  /** Where it is from, for messages. */
  origin: string;
}

export const CONFIG_FILE = 'batchfit.yaml';

/**
 * The settings as words for the parser, by flag and with where they are from, less those that the command line gives.
 * Throws UsageError naming the file and the key, or the variable, that cannot be used.
 */
export async function settingsAsFlags(context: SettingsContext): Promise<Map<string, { words: string[]; origin: string }>> {
  const given = givenFlags(context);
  const settings = [...new Map([...(await readConfig(context)), ...readVariables(context.flags)])].filter(([name]) => !given.has(name));
  const entries = settings.map(
    ([name, setting]) => [name, { words: asFlag(name, context.flags[name]!, setting), origin: setting.origin }] as const,
  );
  return new Map(entries.filter(([, { words }]) => words.length > 0));
}

/** The flags that a command line names, by their long names. */
function givenFlags({ argv, flags }: SettingsContext): Set<string> {
  const given = new Set<string>();
  const byChar = new Map(Object.entries(flags).flatMap(([name, { char }]) => (char === undefined ? [] : [[char, name]])));
  for (let index = 0; index < argv.length; index++) {
    const [, long, short = '', assigned] = /^(?:--([\w-]+)|-(\w))(=|.)?/.exec(argv[index]!) ?? [];
    const name = long === undefined ? byChar.get(short) : flags[long] ? long : long.replace(/^no-/, '');
    const flag = flags[name ?? ''];
    if (name === undefined || flag === undefined) continue;
    given.add(name);
    // its value is the next word, which may look like a flag
    if (flag.type === 'option' && assigned === undefined) index++;
  }
  return given;
}

function readVariables(flags: Flags): Map<string, Setting> {
  const settings = new Map<string, Setting>();
  for (const name of Object.keys(flags)) {
    const variable = `BATCHFIT_${name.toUpperCase().replaceAll('-', '_')}`;
    const value = process.env[variable];
    if (value !== undefined && value !== '') settings.set(name, { value, origin: variable });
  }
  return settings;
}

/** Settings at the top level, then those under the command's own name, which win. */
async function readConfig({ id, flags, commands }: SettingsContext): Promise<Map<string, Setting>> {
  const settings = new Map<string, Setting>();
  const content = await readConfigFile();
  const known = new Set(commands.flatMap((command) => Object.keys(command.flags)));
  const take = (section: Record<string, unknown>, allowed: ReadonlySet<string>, path: string) => {
    for (const [key, value] of Object.entries(section)) {
      if (!allowed.has(key)) refuseKey(path + key, [...allowed], path === '' ? commands.map((command) => command.id) : []);
      if (flags[key]) settings.set(key, { value, origin: `${CONFIG_FILE}: ${path}${key}` });
    }
  };
  const sections = new Map(commands.map((command) => [command.id, command]));
  const isSection = (key: string, value: unknown) => sections.has(key) && (typeof value === 'object' || !known.has(key));
  take(Object.fromEntries(Object.entries(content).filter(([key, value]) => !isSection(key, value))), known, '');
  for (const [key, value] of Object.entries(content).filter(([key, value]) => isSection(key, value))) {
    if (!isMapping(value)) throw badConfig(`${key}: expected flags and their values, found ${JSON.stringify(value)}`);
    const own = { ...(key === id ? flags : sections.get(key)!.flags) };
    if (key === id) take(value, new Set(Object.keys(own)), `${key}.`);
    else for (const name of Object.keys(value)) if (!own[name]) refuseKey(`${key}.${name}`, Object.keys(own), []);
  }
  return settings;
}

async function readConfigFile(): Promise<Record<string, unknown>> {
  const text = await readFile(CONFIG_FILE, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw badConfig(`could not be read: ${error.code}`);
  });
  if (text === null) return {};
  const { parse } = await import('yaml');
  let content: unknown;
  try {
    content = parse(text);
  } catch (error) {
    throw badConfig(`not valid YAML: ${(error as Error).message.split('\n', 1)[0]}`);
  }
  if (content === null) return {};
  if (!isMapping(content)) throw badConfig('expected flags and their values');
  return content;
}

/** One setting as the words that the command line would have. */
function asFlag(name: string, flag: FlagShape, { value, origin }: Setting): string[] {
  if (flag.type === 'boolean') {
    const truth = new Map<unknown, boolean>([
      [true, true],
      [false, false],
      ['1', true],
      ['0', false],
      ['true', true],
      ['false', false],
    ]).get(value);
    if (truth === undefined) throw badSetting(`${origin}: expected true or false, found ${JSON.stringify(value)}`);
    return truth ? [`--${name}`] : flag.allowNo ? [`--no-${name}`] : [];
  }
  const values = Array.isArray(value) ? value : [value];
  if (values.some((item) => typeof item !== 'string' && typeof item !== 'number')) {
    throw badSetting(`${origin}: expected text or a number, found ${JSON.stringify(value)}`);
  }
  return flag.multiple ? values.map((item) => `--${name}=${item}`) : [`--${name}=${values.join(',')}`];
}

function refuseKey(key: string, flags: string[], sections: string[]): never {
  const near = nearestNames(key.split('.').at(-1)!, [...flags, ...sections]);
  throw badConfig(
    `${key}: expected the name of a flag, found "${key}"`,
    near.length > 0 ? `did you mean ${near.join(' or ')}?` : undefined,
  );
}

const badConfig = (what: string, hint?: string) => badSetting(`${CONFIG_FILE}: ${what}`, hint);

function badSetting(message: string, hint = `settings are flags without their dashes, such as "precision: amp-bf16"`): UsageError {
  return new UsageError('BAD_CONFIG', message, hint);
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
