import { beforeAll, describe, expect, it } from 'vitest';
import { type StepTrace, traceStep } from '../../src/memory/step.js';
import type { ModelGraph } from '../../src/model/graph.js';
import { readModel } from '../../src/model/open.js';
import { DEFAULT_SETUP, type Setup } from '../../src/setup.js';

let model: ModelGraph;
let weightBytes: number;
const options = { capability: 80, outOfPlaceSums: false, accumulating: false };
const trace = (setup: Partial<Setup>): StepTrace => traceStep(model, { ...DEFAULT_SETUP, batch: 2, ...setup }, options);
const sumOf = (t: StepTrace, category: string): number =>
  t.bytes.reduce((sum, bytes, id) => sum + (t.categories[id] === category ? bytes : 0), 0);
const stateBytes = (t: StepTrace): number => t.trained.reduce((sum, { bytes }) => sum + bytes, 0);

beforeAll(async () => {
  model = await readModel('resnet50');
  weightBytes = stateBytes(trace({}));
});

describe('several devices', () => {
  it('are one device where there is one', () => {
    for (const sharding of ['zero1', 'zero3', 'fsdp'] as const) expect(trace({ sharding }).bytes).toEqual(trace({}).bytes);
  });

  it('hold gradients twice under DistributedDataParallel', () => {
    expect(sumOf(trace({ gpus: 4 }), 'gradients') - sumOf(trace({}), 'gradients')).toBe(weightBytes);
  });

  it('divide the state, then the gradients, then the weights', () => {
    const close = (found: number, expected: number): void => expect(Math.abs(found / expected - 1)).toBeLessThan(0.01);
    for (const sharding of ['zero1', 'zero2', 'zero3', 'fsdp'] as const) close(stateBytes(trace({ gpus: 8, sharding })), weightBytes / 8);
    // Beside a bucket that all of this model's gradients fit into.
    close(sumOf(trace({ gpus: 8, sharding: 'zero1' }), 'gradients'), 2 * weightBytes);
    close(sumOf(trace({ gpus: 8, sharding: 'zero2' }), 'gradients'), weightBytes * (1 + 1 / 8));
    close(sumOf(trace({ gpus: 8, sharding: 'zero3' }), 'parameters'), weightBytes * (1 + 1 / 8));
    // FSDP gathers what lies outside of the blocks, and the largest block (6.04 M weights) twice: one runs, the next is fetched.
    const inBlocks = 4 * 23_454_912;
    const gathered = weightBytes - inBlocks + 2 * 4 * 6_039_552;
    close(sumOf(trace({ gpus: 8, sharding: 'fsdp' }), 'parameters'), weightBytes / 8 + gathered);
  });

  it('have a master copy of weights in low precision under ZeRO', () => {
    const t = trace({ gpus: 4, sharding: 'zero1', precision: 'bf16' });
    expect(Math.abs(sumOf(t, 'optimizerState') / (weightBytes / 4) - 1)).toBeLessThan(0.01);
    expect(Math.abs(stateBytes(t) / (weightBytes / 4) - 1)).toBeLessThan(0.01);
  });
});
