import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ROOT } from './run.js';

interface Manifest {
  commands: Record<string, { args: Record<string, { required?: boolean }>; flags: Record<string, ManifestFlag> }>;
}
interface ManifestFlag {
  char?: string;
  type: 'boolean' | 'option';
  multiple?: boolean;
  allowNo?: boolean;
  options?: string[];
}

/** A flag as a script sees it: `-o --output=`, `--precision=fp32|tf32`, `--[no-]shuffle`. */
function describeFlag(name: string, { char, type, multiple, options, allowNo }: ManifestFlag): string {
  const value = type === 'boolean' ? '' : `=${options?.join('|') ?? ''}`;
  return `${char ? `-${char} ` : ''}--${allowNo ? '[no-]' : ''}${name}${value}${multiple ? ' ...' : ''}`;
}

it('keeps every command and flag that scripts may call', () => {
  const { commands }: Manifest = JSON.parse(readFileSync(`${ROOT}/oclif.manifest.json`, 'utf8'));
  const surface = Object.fromEntries(
    Object.entries(commands).map(([id, { args, flags }]) => [
      id,
      {
        args: Object.entries(args).map(([name, { required }]) => (required ? name : `[${name}]`)),
        flags: Object.entries(flags)
          .map(([name, flag]) => describeFlag(name, flag))
          .sort(),
      },
    ]),
  );
  expect(surface).toMatchSnapshot();
});
