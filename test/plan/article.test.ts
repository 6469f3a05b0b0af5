/** docs/article.md answers every claim with a command, a field and a test that is really there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const root = new URL('../../', import.meta.url);
const article = readFileSync(new URL('docs/article.md', root), 'utf8');
const rows = article
  .split('\n')
  .filter((line) => /^\| [SX]\d+ /.test(line))
  .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '').trim()));
const commands = readdirSync(new URL('src/commands/', root)).map((file) => file.replace('.ts', ''));

it('has every claim once, in order', () => {
  const wanted = [...Array.from({ length: 42 }, (_, at) => `S${at + 1}`), ...Array.from({ length: 4 }, (_, at) => `X${at + 1}`)];
  expect(rows.map(([claim]) => claim)).toEqual(wanted);
});

describe.each(rows.map((cells) => [cells[0]!, cells] as const))('%s', (claim, cells) => {
  const last = cells.at(-1)!;
  const references = (claim.startsWith('X') ? (last.split('Tests: ')[1] ?? '') : last).split('; ');
  it('names a command, or where it is not followed', () => {
    const named = [...cells.at(claim.startsWith('X') ? -1 : 2)!.matchAll(/`([a-z]+)[^`]*`/g)].map(([, word]) => word!);
    expect(named.some((word) => commands.includes(word)) || /not followed|not used/.test(cells.join(' '))).toBe(true);
  });
  it.each(references)('%s', (reference) => {
    const [, file, name] = /^`([^`]+\.test\.ts)`, (.+)$/.exec(reference)!;
    const path = new URL(`test/${file}`, root);
    expect(existsSync(path)).toBe(true);
    const text = readFileSync(path, 'utf8').replaceAll("\\'", "'");
    for (const part of name!.split(': ')) expect(text).toContain(part);
  });
});

it('fields that it names are in the documents', () => {
  const schemas = readdirSync(new URL('schemas/', root)).map((file) => readFileSync(new URL(`schemas/${file}`, root), 'utf8'));
  for (const [claim, , field] of rows.filter(([claim]) => claim!.startsWith('S'))) {
    for (const [, path] of field!.matchAll(/`([a-z]+[a-zA-Z[\]]*\.[a-zA-Z]+)`/g)) {
      const leaf = path!.split('.').at(-1)!;
      expect(
        schemas.some((schema) => schema.includes(`"${leaf}"`)),
        `${claim}: ${path}`,
      ).toBe(true);
    }
  }
});
