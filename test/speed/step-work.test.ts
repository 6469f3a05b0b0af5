import { expect, it } from 'vitest';
import { readModel } from '../../src/model/open.js';
import { DEFAULT_SETUP } from '../../src/setup.js';
import { type CountedWork, StepWork, workOf } from '../../src/speed/step-work.js';
import { traceStep } from '../../src/trace/index.js';

async function workOfProfile(name: string, seq?: number) {
  const model = await readModel(name, seq === undefined ? {} : { seq });
  const setup = { ...DEFAULT_SETUP, precision: 'amp-fp16' as const };
  const trace = (batch: number) =>
    traceStep(model, { ...setup, batch }, { capability: 80, outOfPlaceSums: false, accumulating: false, logsKernels: true });
  return { work: new StepWork(trace), trace };
}

const sum = (works: readonly CountedWork[], of: (work: CountedWork) => number): number =>
  works.reduce((total, work) => total + work.count * of(work), 0);

it.each([
  ['resnet50', undefined],
  ['gpt2', 64],
  ['digits-mlp', undefined],
])('%s: two traces say what a trace at any other batch would', async (name, seq) => {
  const { work, trace } = await workOfProfile(name, seq);
  for (const batch of [1, 3, 16]) {
    const works = work.at(batch);
    const exact = (trace(batch).kernelLog ?? []).map(workOf);
    expect(sum(works, ({ operations }) => operations)).toBeCloseTo(
      sum(exact, ({ operations }) => operations),
      -3,
    );
    expect(sum(works, ({ bytes }) => bytes)).toBeCloseTo(
      sum(exact, ({ bytes }) => bytes),
      -3,
    );
    expect(sum(works, () => 1)).toBe(sum(exact, () => 1));
  }
});

it('keeps equal kernels once', async () => {
  const { work } = await workOfProfile('gpt2', 64);
  const works = work.at(4);
  const kernels = sum(works, () => 1);
  expect(works.length).toBeLessThan(kernels / 5);
});

it('counts the weights that are trained', async () => {
  const { work } = await workOfProfile('resnet50');
  expect(work.trained).toEqual({ tensors: 161, bytes: 25557032 * 4 });
});
