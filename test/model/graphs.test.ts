import { describe, expect, it } from 'vitest';
import { readModel } from '../../src/model/open.js';
import { readHuggingFaceConfig } from '../../src/model/readers/hf/read.js';
import { checkGraph } from '../../src/model/validate.js';
import { graphLines, parameterCount, readCases, readReference, referenceLines, tiedNames } from './reference.js';

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

describe('readers of Hugging Face configs run the operators of the real class', () => {
  it.each(readCases().filter(({ kind }) => kind === 'hf'))('$name', async ({ name, config, model_type, architecture, attention }) => {
    const reference = readReference(name);
    const document = { ...config, model_type, architectures: [architecture] };
    const options = { seq: 11, attention: attention === 'eager' ? 'math' : 'auto' } as const;
    const graph = await readHuggingFaceConfig(document, { format: 'hf-config', reference: name }, options);
    checkGraph(graph, name);
    expect(graphLines(graph, true)).toEqual(referenceLines(reference, true, tiedNames(graph)));
    expect(parameterCount(graph)).toBe(reference.parameters);
    expect(graph.parameters.map(({ name: weight, shape }) => [weight, shape])).toEqual(Object.entries(reference.shapes));
  });
});
