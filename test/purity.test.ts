import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const SRC = new URL('../src/', import.meta.url);
const PURE = ['trace', 'memory', 'speed', 'plan', 'model'].filter((room) => existsSync(new URL(room, SRC)));
const IMPURE = /\b(?:Date\.now|new Date\b|performance\.now|Math\.random|process\.|setTimeout|setInterval|fetch\()/;

/** Imports are dependency-cruiser's to judge; globals need no import. */
it.each(PURE)('%s uses no clock, randomness or process', (room) => {
  const files = readdirSync(new URL(room, SRC), { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.endsWith('.ts') && name !== 'open.ts',
  );
  const uses = files.flatMap((name) =>
    readFileSync(new URL(`${room}/${name}`, SRC), 'utf8')
      .split('\n')
      .map((line, index) => ({ line: line.replace(/\/\/.*|^\s*\/?\*.*/, ''), place: `${room}/${name}:${index + 1}` }))
      .filter(({ line }) => IMPURE.test(line))
      .map(({ line, place }) => `${place}: ${line.trim()}`),
  );
  expect(uses).toEqual([]);
});
