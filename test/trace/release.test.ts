import { describe, expect, it } from 'vitest';
import { readModel } from '../../src/model/open.js';
import { DEFAULT_SETUP } from '../../src/setup.js';
import { type Release, traceStep } from '../../src/trace/index.js';

/** Bytes that forward leaves for backward. */
async function activations(name: string, batch: number, release: Release | null): Promise<number> {
  const options = { capability: 80, outOfPlaceSums: false, accumulating: false, release };
  const { bytes, categories } = traceStep(await readModel(name), { ...DEFAULT_SETUP, batch }, options);
  return bytes.reduce((sum, each, id) => sum + (categories[id] === 'activations' ? each : 0), 0);
}

describe('an older PyTorch', () => {
  it("keeps the input of a relu that makes a tensor of its own before 1.10, and the logits as log_softmax's input before 1.11", async () => {
    const batch = 32;
    const newest = await activations('digits-mlp', batch, null);
    const biases = (await readModel('digits-mlp')).parameters.filter(({ shape }) => shape.length === 1);
    const [first, second, classes] = biases.map(({ shape }) => shape[0]) as [number, number, number];
    const logits = 4 * batch * classes;
    const relus = 4 * batch * (first + second);
    expect(await activations('digits-mlp', batch, [1, 11])).toBe(newest);
    expect(await activations('digits-mlp', batch, [1, 10])).toBe(newest + logits);
    expect(await activations('digits-mlp', batch, [1, 9])).toBe(newest + logits + relus);
    expect(await activations('digits-mlp', batch, [2, 0])).toBe(newest);
  });

  it('works in place as later ones do', async () => {
    const logits = 4 * 8 * 10;
    expect(await activations('digits-cnn', 8, [1, 9])).toBe((await activations('digits-cnn', 8, null)) + logits);
  });
});
