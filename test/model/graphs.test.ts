import { describe, expect, it } from 'vitest';
import { readModel } from '../../src/model/open.js';
import { checkGraph } from '../../src/model/validate.js';
import { graphLines, parameterCount, readCases, readReference, referenceLines } from './reference.js';

/** The fixtures are exports of the real modules by reference.py; they name the release of torch that made them. */
describe('profiles of image models run the operators of the real module', () => {
  it.each(readCases().filter(({ kind }) => kind === 'vision'))('$name ($library)', async ({ name }) => {
    const reference = readReference(name);
    const graph = await readModel(name);
    checkGraph(graph, name);
    expect(graphLines(graph, false)).toEqual(referenceLines(reference, false));
    expect(parameterCount(graph)).toBe(reference.parameters);
  });
});
