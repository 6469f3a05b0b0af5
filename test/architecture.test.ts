import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cruise, type ICruiseResult } from 'dependency-cruiser';
import { afterAll, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const { forbidden, options } = createRequire(import.meta.url)('../.dependency-cruiser.cjs');

/** The broken rules of a source tree, as `rule: from -> to`. */
async function violations(baseDir: string): Promise<string[]> {
  const { output } = await cruise(['src'], { ...options, baseDir, ruleSet: { forbidden }, validate: true });
  return (output as ICruiseResult).summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`);
}

describe('the one-way picture', () => {
  it('holds', async () => {
    expect(await violations(ROOT)).toEqual([]);
  }, 60_000);
});

describe('the rules', () => {
  const folders: string[] = [];
  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true });
  });

  /** A house of the given files, each with its source. */
  function house(files: Record<string, string>): string {
    const folder = mkdtempSync(join(tmpdir(), 'batchfit-house-'));
    folders.push(folder);
    for (const [path, source] of Object.entries({ 'tsconfig.json': readFileSync(join(ROOT, 'tsconfig.json'), 'utf8'), ...files })) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), source);
    }
    return folder;
  }

  const leaf = 'export const one = 1;\nexport type One = number;\n';
  const uses = (path: string) => `import { one } from '${path}';\nexport const two = one + 1;\n`;
  const cases: Array<[rule: string, files: Record<string, string>]> = [
    ['one-way-memory: src/memory/a.ts -> src/plan/b.ts', { 'src/memory/a.ts': uses('../plan/b.js'), 'src/plan/b.ts': leaf }],
    ['one-way-memory: src/memory/a.ts -> src/speed/b.ts', { 'src/memory/a.ts': uses('../speed/b.js'), 'src/speed/b.ts': leaf }],
    ['one-way-model: src/model/a.ts -> src/machine/b.ts', { 'src/model/a.ts': uses('../machine/b.js'), 'src/machine/b.ts': leaf }],
    ['ground-floor: src/units.ts -> src/model/b.ts', { 'src/units.ts': uses('./model/b.js'), 'src/model/b.ts': leaf }],
    ['plan-takes-data: src/plan/a.ts -> src/probe/b.ts', { 'src/plan/a.ts': uses('../probe/b.js'), 'src/probe/b.ts': leaf }],
    ['pure: src/trace/a.ts -> fs', { 'src/trace/a.ts': "import { readFileSync } from 'node:fs';\nexport const read = readFileSync;\n" }],
    [
      'no-circles: src/plan/a.ts -> src/plan/b.ts',
      { 'src/plan/a.ts': `${uses('./b.js')}${leaf}`, 'src/plan/b.ts': uses('./a.js').replace('two', 'one') },
    ],
  ];
  it.each(cases)('refuse %s', async (rule, files) => {
    expect(await violations(house(files))).toContain(rule);
  });

  it('let plan import the types of probe', async () => {
    const files = { 'src/plan/a.ts': "import type { One } from '../probe/b.js';\nexport const two: One = 2;\n", 'src/probe/b.ts': leaf };
    expect(await violations(house(files))).toEqual([]);
  });

  it('keep foreign packages behind their doors', async () => {
    const broken = await violations(
      house({
        'node_modules/systeminformation/package.json': '{"name":"systeminformation","main":"index.js"}',
        'node_modules/systeminformation/index.js': 'module.exports = {};',
        'src/probe/a.ts': "import * as si from 'systeminformation';\nexport const information = si;\n",
      }),
    );
    expect(broken).toContainEqual(expect.stringContaining('door-systeminformation: src/probe/a.ts'));
  });
});
